-- What an attestation's predicate says of policies, and the materials that it names. Null and no materials: it says nothing,
-- or a build wrote it that read neither. Nothing is filled in, so that no lock is held for long.

-- AlterTable
ALTER TABLE "attestation" ADD COLUMN "policy_summary" JSONB;

-- CreateTable
CREATE TABLE "attestation_material" (
    "organization_id" UUID NOT NULL,
    "digest_key" TEXT NOT NULL,
    "attestation_id" UUID NOT NULL,

    CONSTRAINT "attestation_material_pkey" PRIMARY KEY ("organization_id","digest_key","attestation_id")
);

-- CreateIndex
CREATE INDEX "attestation_material_attestation_id_idx" ON "attestation_material"("attestation_id");

-- AddForeignKey
ALTER TABLE "attestation_material" ADD CONSTRAINT "attestation_material_attestation_id_fkey" FOREIGN KEY ("attestation_id") REFERENCES "attestation"("id") ON DELETE CASCADE ON UPDATE CASCADE;
