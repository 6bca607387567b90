-- AlterTable
ALTER TABLE "attestation" ADD COLUMN "retain_until" TIMESTAMPTZ(3),
ADD COLUMN "expired_at" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "intent" ADD COLUMN "retired" BOOLEAN NOT NULL DEFAULT false;

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

-- What schema.prisma has no words for.

-- The hidden ones that retention walks. Storing an attestation pays nothing for it.
CREATE INDEX "attestation_expired_idx" ON "attestation"("organization_id", "id") WHERE "expired_at" IS NOT NULL;

-- Events are only ever added.
CREATE FUNCTION "refuse_audit_change"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_event is append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER "audit_event_append_only" BEFORE UPDATE OR DELETE OR TRUNCATE ON "audit_event"
    FOR EACH STATEMENT EXECUTE FUNCTION "refuse_audit_change"();
