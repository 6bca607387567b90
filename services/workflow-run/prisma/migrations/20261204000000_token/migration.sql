-- Which API token started a run. Null: a build did that did not keep it. Nothing is filled in, so that no lock is held for long.

-- AlterTable
ALTER TABLE "run" ADD COLUMN "token_id" UUID;
