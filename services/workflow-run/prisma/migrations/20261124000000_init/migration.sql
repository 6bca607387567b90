-- CreateEnum
CREATE TYPE "storage_mode" AS ENUM ('database', 'cas', 'spool');

-- CreateEnum
CREATE TYPE "backend_provider" AS ENUM ('inline', 'filesystem', 's3');

-- CreateEnum
CREATE TYPE "backend_status" AS ENUM ('unknown', 'valid', 'invalid');

-- CreateEnum
CREATE TYPE "run_state" AS ENUM ('initialized', 'success', 'error', 'cancelled', 'expired');

-- CreateEnum
CREATE TYPE "token_role" AS ENUM ('admin', 'ci', 'reader');

-- CreateTable
CREATE TABLE "organization" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "storage_mode" "storage_mode",
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "organization_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "workflow" (
    "organization_id" UUID NOT NULL,
    "id" UUID NOT NULL,
    "project" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "workflow_pkey" PRIMARY KEY ("organization_id","id")
);

-- CreateTable
CREATE TABLE "backend" (
    "organization_id" UUID NOT NULL,
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "provider" "backend_provider" NOT NULL,
    "secret_ref" TEXT NOT NULL,
    "prefix" TEXT NOT NULL,
    "is_default" BOOLEAN NOT NULL,
    "max_bytes" BIGINT NOT NULL,
    "status" "backend_status" NOT NULL,
    "validated_at" TIMESTAMPTZ(3),
    "validation_error" TEXT NOT NULL DEFAULT '',
    "next_validation_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "backend_pkey" PRIMARY KEY ("organization_id","id")
);

-- CreateTable
CREATE TABLE "run" (
    "organization_id" UUID NOT NULL,
    "id" UUID NOT NULL,
    "workflow_id" UUID NOT NULL,
    "backend_id" UUID NOT NULL,
    "state" "run_state" NOT NULL DEFAULT 'initialized',
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "finished_at" TIMESTAMPTZ(3),
    "attestation_digest" BYTEA,
    "idempotency_key" TEXT,
    "job_url" TEXT NOT NULL DEFAULT '',
    "reason" TEXT NOT NULL DEFAULT '',

    CONSTRAINT "run_pkey" PRIMARY KEY ("organization_id","id")
);

-- CreateTable
CREATE TABLE "token" (
    "organization_id" UUID NOT NULL,
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "role" "token_role" NOT NULL,
    "instance_admin" BOOLEAN NOT NULL DEFAULT false,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3),
    "revoked_at" TIMESTAMPTZ(3),
    "revocation" BIGINT,

    CONSTRAINT "token_pkey" PRIMARY KEY ("organization_id","id")
);

-- CreateIndex
CREATE UNIQUE INDEX "organization_name_key" ON "organization"("name");

-- CreateIndex
CREATE INDEX "workflow_organization_id_project_id_idx" ON "workflow"("organization_id", "project", "id");

-- CreateIndex
CREATE UNIQUE INDEX "workflow_organization_id_project_name_key" ON "workflow"("organization_id", "project", "name");

-- CreateIndex
CREATE INDEX "backend_next_validation_at_idx" ON "backend"("next_validation_at");

-- CreateIndex
CREATE UNIQUE INDEX "backend_organization_id_name_key" ON "backend"("organization_id", "name");

-- CreateIndex
CREATE INDEX "run_organization_id_workflow_id_id_idx" ON "run"("organization_id", "workflow_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "token_id_key" ON "token"("id");

-- CreateIndex
CREATE UNIQUE INDEX "token_revocation_key" ON "token"("revocation");

-- AddForeignKey
ALTER TABLE "workflow" ADD CONSTRAINT "workflow_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "organization"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "backend" ADD CONSTRAINT "backend_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "organization"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "run" ADD CONSTRAINT "run_organization_id_workflow_id_fkey" FOREIGN KEY ("organization_id", "workflow_id") REFERENCES "workflow"("organization_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "run" ADD CONSTRAINT "run_organization_id_backend_id_fkey" FOREIGN KEY ("organization_id", "backend_id") REFERENCES "backend"("organization_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "token" ADD CONSTRAINT "token_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "organization"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- What the schema language has no words for, by hand.

-- One default for each organization.
CREATE UNIQUE INDEX "backend_default_key" ON "backend"("organization_id") WHERE "is_default";

-- A retry of Create finds the run of the first call.
CREATE UNIQUE INDEX "run_idempotency_key" ON "run"("organization_id", "idempotency_key") WHERE "idempotency_key" IS NOT NULL;

-- The latest run of a digest.
CREATE INDEX "run_attestation_digest_idx" ON "run"("organization_id", "attestation_digest", "id") WHERE "attestation_digest" IS NOT NULL;

-- Lists by state. Most runs are successes, and leave these two when they become one.
CREATE INDEX "run_state_idx" ON "run"("organization_id", "state", "id") WHERE "state" <> 'success';
CREATE INDEX "run_workflow_state_idx" ON "run"("organization_id", "workflow_id", "state", "id") WHERE "state" <> 'success';

-- The expirer's work list.
CREATE INDEX "run_unfinished_idx" ON "run"("started_at") WHERE "state" = 'initialized';

-- A name is free again once its token is revoked.
CREATE UNIQUE INDEX "token_name_key" ON "token"("organization_id", "name") WHERE "revoked_at" IS NULL;

ALTER TABLE "run"
    ADD CONSTRAINT "run_success_has_digest" CHECK (("state" = 'success') = ("attestation_digest" IS NOT NULL)),
    ADD CONSTRAINT "run_digest_is_sha256" CHECK (octet_length("attestation_digest") = 32),
    ADD CONSTRAINT "run_ended_has_time" CHECK (("state" = 'initialized') = ("finished_at" IS NULL));

ALTER TABLE "backend"
    ADD CONSTRAINT "backend_inline_has_no_secret" CHECK (("provider" = 'inline') = ("secret_ref" = '')),
    ADD CONSTRAINT "backend_inline_is_not_validated" CHECK (("provider" = 'inline') = ("next_validation_at" IS NULL)),
    ADD CONSTRAINT "backend_max_bytes_positive" CHECK ("max_bytes" > 0);

ALTER TABLE "token"
    ADD CONSTRAINT "token_revoked_has_number" CHECK (("revoked_at" IS NULL) = ("revocation" IS NULL));
