-- Organizations that are there already get `signature` too: what they stored stays as it is, and from now on Store refuses a
-- bundle whose signature does not match the key or certificate that it carries. "org update --verification off" undoes it.

-- CreateEnum
CREATE TYPE "verification_mode" AS ENUM ('off', 'signature', 'trusted');

-- AlterTable
ALTER TABLE "organization" ADD COLUMN "verification_mode" "verification_mode" NOT NULL DEFAULT 'signature',
ADD COLUMN "trust_revision" INTEGER;

-- CreateTable
CREATE TABLE "trust_policy" (
    "organization_id" UUID NOT NULL,
    "revision" INTEGER NOT NULL,
    "trusted_roots" TEXT[],
    "certificate_authorities" TEXT[],
    "public_keys" TEXT[],
    "transparency_log_threshold" INTEGER NOT NULL,
    "timestamp_threshold" INTEGER NOT NULL,
    "signers" JSONB NOT NULL,
    "set_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "trust_policy_pkey" PRIMARY KEY ("organization_id","revision")
);

-- AddForeignKey
ALTER TABLE "trust_policy" ADD CONSTRAINT "trust_policy_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "organization"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- What the schema language has no words for, by hand.

-- The policy in force is one of the organization's own, and `trusted` has one.
ALTER TABLE "organization"
    ADD CONSTRAINT "organization_trust_policy" FOREIGN KEY ("id", "trust_revision")
        REFERENCES "trust_policy"("organization_id", "revision"),
    ADD CONSTRAINT "organization_trusted_has_policy" CHECK ("verification_mode" <> 'trusted' OR "trust_revision" IS NOT NULL);

ALTER TABLE "trust_policy"
    ADD CONSTRAINT "trust_policy_revision" CHECK ("revision" > 0),
    ADD CONSTRAINT "trust_policy_has_material" CHECK (cardinality("trusted_roots") + cardinality("certificate_authorities") + cardinality("public_keys") > 0),
    ADD CONSTRAINT "trust_policy_thresholds" CHECK ("transparency_log_threshold" >= 0 AND "timestamp_threshold" >= 0);

-- A revision names one policy for good, since attestations and caches refer to it; and the one in force is always the newest.
CREATE FUNCTION "refuse_trust_change"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'trust_policy is append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER "trust_policy_append_only" BEFORE UPDATE OR DELETE OR TRUNCATE ON "trust_policy"
    FOR EACH STATEMENT EXECUTE FUNCTION "refuse_trust_change"();

CREATE FUNCTION "raise_trust_revision"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE "organization" SET "trust_revision" = NEW."revision"
        WHERE "id" = NEW."organization_id" AND coalesce("trust_revision", 0) = NEW."revision" - 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'trust_policy: % is not the next revision', NEW."revision" USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER "trust_policy_raises_revision" AFTER INSERT ON "trust_policy"
    FOR EACH ROW EXECUTE FUNCTION "raise_trust_revision"();
