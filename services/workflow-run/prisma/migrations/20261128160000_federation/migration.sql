-- CreateTable
CREATE TABLE "federation_rule" (
    "organization_id" UUID NOT NULL,
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "issuer" TEXT NOT NULL,
    "audience" TEXT NOT NULL,
    "conditions" JSONB NOT NULL,
    "role" "token_role" NOT NULL,
    "lifetime_seconds" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "federation_rule_pkey" PRIMARY KEY ("organization_id","id")
);

-- CreateIndex
CREATE UNIQUE INDEX "federation_rule_organization_id_name_key" ON "federation_rule"("organization_id", "name");

-- AddForeignKey
ALTER TABLE "federation_rule" ADD CONSTRAINT "federation_rule_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "organization"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AlterTable
ALTER TABLE "token" ADD COLUMN "federated" BOOLEAN NOT NULL DEFAULT false;

-- What the schema language has no words for, by hand.

-- No rule makes admins, nothing lives for longer than an hour, and no rule lets everybody in.
ALTER TABLE "federation_rule"
    ADD CONSTRAINT "federation_rule_role" CHECK ("role" IN ('ci', 'reader')),
    ADD CONSTRAINT "federation_rule_lifetime" CHECK ("lifetime_seconds" BETWEEN 60 AND 3600),
    ADD CONSTRAINT "federation_rule_conditions" CHECK (jsonb_array_length("conditions") BETWEEN 1 AND 20);

ALTER TABLE "token" ADD CONSTRAINT "token_federated" CHECK (NOT "federated" OR ("expires_at" IS NOT NULL AND "role" <> 'admin' AND NOT "instance_admin"));

-- Those that are forgotten once they ran out.
CREATE INDEX "token_forgotten" ON "token"("expires_at") WHERE "federated" AND "revoked_at" IS NULL;
