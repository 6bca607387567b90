-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "public";

-- CreateEnum
CREATE TYPE "mode" AS ENUM ('database', 'cas', 'spool');

-- CreateEnum
CREATE TYPE "upload_state" AS ENUM ('pending', 'failing', 'given_up', 'confirmed');

-- CreateEnum
CREATE TYPE "intent_state" AS ENUM ('idle', 'deleting');

-- CreateTable
CREATE TABLE "attestation" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "run_id" UUID NOT NULL,
    "workflow_id" UUID NOT NULL,
    "project" TEXT NOT NULL,
    "workflow" TEXT NOT NULL,
    "backend_id" UUID NOT NULL,
    "digest" BYTEA NOT NULL,
    "size_bytes" INTEGER NOT NULL,
    "media_type" TEXT NOT NULL,
    "predicate_type" TEXT NOT NULL,
    "subjects" JSONB NOT NULL,
    "mode" "mode" NOT NULL,
    "bundle" BYTEA,
    "received_at" TIMESTAMPTZ(3) NOT NULL,
    "stored_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "plan_given_at" TIMESTAMPTZ(3) NOT NULL,
    "visible" BOOLEAN NOT NULL DEFAULT false,

    CONSTRAINT "attestation_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "attestation_subject" (
    "organization_id" UUID NOT NULL,
    "digest_key" TEXT NOT NULL,
    "attestation_id" UUID NOT NULL,

    CONSTRAINT "attestation_subject_pkey" PRIMARY KEY ("organization_id","digest_key","attestation_id")
);

-- CreateTable
CREATE TABLE "upload" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "attestation_id" UUID NOT NULL,
    "run_id" UUID NOT NULL,
    "backend_id" UUID NOT NULL,
    "digest" BYTEA NOT NULL,
    "size_bytes" INTEGER NOT NULL,
    "state" "upload_state" NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "next_attempt_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "trying_since" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "lease_owner" UUID,
    "lease_until" TIMESTAMPTZ(3),
    "last_error" TEXT NOT NULL DEFAULT '',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "confirmed_at" TIMESTAMPTZ(3),

    CONSTRAINT "upload_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "intent" (
    "organization_id" UUID NOT NULL,
    "backend_id" UUID NOT NULL,
    "digest" BYTEA NOT NULL,
    "touched" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "state" "intent_state" NOT NULL DEFAULT 'idle',
    "gc_owner" UUID,
    "gc_until" TIMESTAMPTZ(3),

    CONSTRAINT "intent_pkey" PRIMARY KEY ("organization_id","backend_id","digest")
);

-- CreateIndex
CREATE INDEX "attestation_organization_id_id_idx" ON "attestation"("organization_id", "id");

-- CreateIndex
CREATE INDEX "attestation_organization_id_project_id_idx" ON "attestation"("organization_id", "project", "id");

-- CreateIndex
CREATE INDEX "attestation_organization_id_project_workflow_id_idx" ON "attestation"("organization_id", "project", "workflow", "id");

-- CreateIndex
CREATE INDEX "attestation_organization_id_predicate_type_id_idx" ON "attestation"("organization_id", "predicate_type", "id");

-- CreateIndex
CREATE INDEX "attestation_digest_id_idx" ON "attestation"("digest", "id");

-- CreateIndex
CREATE UNIQUE INDEX "attestation_run_id_organization_id_key" ON "attestation"("run_id", "organization_id");

-- CreateIndex
CREATE INDEX "attestation_subject_attestation_id_idx" ON "attestation_subject"("attestation_id");

-- CreateIndex
CREATE UNIQUE INDEX "upload_attestation_id_backend_id_key" ON "upload"("attestation_id", "backend_id");

-- CreateIndex
CREATE INDEX "intent_touched_idx" ON "intent"("touched");

-- AddForeignKey
ALTER TABLE "attestation_subject" ADD CONSTRAINT "attestation_subject_attestation_id_fkey" FOREIGN KEY ("attestation_id") REFERENCES "attestation"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "upload" ADD CONSTRAINT "upload_attestation_id_fkey" FOREIGN KEY ("attestation_id") REFERENCES "attestation"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- What schema.prisma has no words for.

-- Bundles are base64 in JSON: compression costs more than it saves.
ALTER TABLE "attestation" ALTER COLUMN "bundle" SET STORAGE EXTERNAL;

ALTER TABLE "attestation"
    ADD CONSTRAINT "attestation_digest_check" CHECK (octet_length("digest") = 32),
    ADD CONSTRAINT "attestation_size_check" CHECK ("size_bytes" > 0 AND ("bundle" IS NULL OR octet_length("bundle") = "size_bytes")),
    ADD CONSTRAINT "attestation_bundle_check" CHECK (("mode" <> 'database' OR "bundle" IS NOT NULL) AND ("mode" <> 'cas' OR "bundle" IS NULL));

ALTER TABLE "upload"
    ADD CONSTRAINT "upload_digest_check" CHECK (octet_length("digest") = 32),
    ADD CONSTRAINT "upload_size_check" CHECK ("size_bytes" > 0),
    ADD CONSTRAINT "upload_confirmed_check" CHECK (("state" = 'confirmed') = ("confirmed_at" IS NOT NULL)),
    ADD CONSTRAINT "upload_lease_check" CHECK (("lease_owner" IS NULL) = ("lease_until" IS NULL));

ALTER TABLE "intent"
    ADD CONSTRAINT "intent_digest_check" CHECK (octet_length("digest") = 32),
    ADD CONSTRAINT "intent_gc_check" CHECK ("state" = 'idle' OR ("gc_owner" IS NOT NULL AND "gc_until" IS NOT NULL));

-- The reconciler's list.
CREATE INDEX "attestation_not_visible_idx" ON "attestation"("id") WHERE NOT "visible";

-- What spool may prune.
CREATE INDEX "attestation_spooled_idx" ON "attestation"("id") WHERE "mode" = 'spool' AND "bundle" IS NOT NULL;

-- The queue, by backend.
CREATE INDEX "upload_queue_idx" ON "upload"("backend_id", "next_attempt_at") WHERE "state" IN ('pending', 'failing');

-- UploadService.List.
CREATE INDEX "upload_unconfirmed_idx" ON "upload"("organization_id", "id") WHERE "state" <> 'confirmed';
CREATE INDEX "upload_confirmed_idx" ON "upload"("organization_id", "id") WHERE "state" = 'confirmed';
