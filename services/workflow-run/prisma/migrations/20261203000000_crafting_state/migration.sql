-- CreateTable
CREATE TABLE "crafting_state" (
    "organization_id" UUID NOT NULL,
    "run_id" UUID NOT NULL,
    "state" BYTEA NOT NULL,
    "digest" BYTEA NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "crafting_state_pkey" PRIMARY KEY ("organization_id","run_id")
);

-- AddForeignKey
ALTER TABLE "crafting_state" ADD CONSTRAINT "crafting_state_organization_id_run_id_fkey" FOREIGN KEY ("organization_id", "run_id") REFERENCES "run"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- What the schema language has no words for, by hand.

ALTER TABLE "crafting_state"
    ADD CONSTRAINT "crafting_state_digest_is_sha256" CHECK (octet_length("digest") = 32);
