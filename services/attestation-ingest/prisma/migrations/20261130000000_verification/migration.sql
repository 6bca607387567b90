-- What verification found when the attestation was stored. Null: it was stored by a build that verified nothing. Nothing is
-- filled in, so that no lock is held for long.

-- CreateEnum
CREATE TYPE "verification_mode" AS ENUM ('off', 'signature', 'trusted');

-- CreateEnum
CREATE TYPE "verification_result" AS ENUM ('verified', 'off', 'no_key');

-- AlterTable
ALTER TABLE "attestation" ADD COLUMN "verification_mode" "verification_mode",
ADD COLUMN "verification_result" "verification_result",
ADD COLUMN "signer" TEXT,
ADD COLUMN "issuer" TEXT,
ADD COLUMN "integrated_at" TIMESTAMPTZ(3),
ADD COLUMN "trust_revision" INTEGER;

-- What schema.prisma has no words for.

-- What is there has nulls and satisfies it: not read to see that.
ALTER TABLE "attestation" ADD CONSTRAINT "attestation_verification_check" CHECK (
    CASE "verification_result"
        WHEN 'verified' THEN "verification_mode" IS NOT DISTINCT FROM (CASE WHEN "trust_revision" IS NULL THEN 'signature' ELSE 'trusted' END)::"verification_mode"
            AND num_nulls("signer", "issuer") = 0 AND ("integrated_at" IS NULL OR "trust_revision" IS NOT NULL)
        WHEN 'off' THEN "verification_mode" IS NOT DISTINCT FROM 'off' AND num_nonnulls("signer", "issuer", "integrated_at", "trust_revision") = 0
        WHEN 'no_key' THEN "verification_mode" IS NOT DISTINCT FROM 'signature' AND num_nonnulls("signer", "issuer", "integrated_at", "trust_revision") = 0
        ELSE num_nonnulls("verification_mode", "signer", "issuer", "integrated_at", "trust_revision") = 0
    END) NOT VALID;
