-- Which API token stored an attestation. Null: a build did that did not keep it. Nothing is filled in, so that no lock is held for long.

-- AlterTable
ALTER TABLE "attestation" ADD COLUMN "token_id" UUID;
