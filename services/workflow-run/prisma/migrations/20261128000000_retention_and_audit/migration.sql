-- AlterTable
ALTER TABLE "organization" ADD COLUMN "attestation_keep_min_seconds" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN "attestation_keep_max_seconds" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN "material_keep_min_seconds" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN "material_keep_max_seconds" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN "material_keep_changed_at" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "audit_event" (
    "number" BIGINT GENERATED ALWAYS AS IDENTITY,
    "organization_id" UUID NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT now(),
    "actor" TEXT NOT NULL,
    "action" TEXT NOT NULL,
    "resource" TEXT NOT NULL,
    "detail" JSONB NOT NULL DEFAULT '{}',

    CONSTRAINT "audit_event_pkey" PRIMARY KEY ("number")
);

-- CreateIndex
CREATE INDEX "audit_event_organization_id_number_idx" ON "audit_event"("organization_id", "number");

-- CreateIndex
CREATE INDEX "audit_event_organization_id_action_number_idx" ON "audit_event"("organization_id", "action", "number");

-- What the schema language has no words for, by hand.

-- No end (0), or one that is not before the promise ends.
ALTER TABLE "organization"
    ADD CONSTRAINT "organization_attestation_keep" CHECK ("attestation_keep_min_seconds" >= 0
        AND ("attestation_keep_max_seconds" = 0 OR "attestation_keep_max_seconds" >= "attestation_keep_min_seconds")),
    ADD CONSTRAINT "organization_material_keep" CHECK ("material_keep_min_seconds" >= 0
        AND ("material_keep_max_seconds" = 0 OR "material_keep_max_seconds" >= "material_keep_min_seconds"));

-- Events are only ever added.
CREATE FUNCTION "refuse_audit_change"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_event is append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER "audit_event_append_only" BEFORE UPDATE OR DELETE OR TRUNCATE ON "audit_event"
    FOR EACH STATEMENT EXECUTE FUNCTION "refuse_audit_change"();
