-- Tokens of before, and those that an older workflow-run makes beside a newer one, are not for the chainloop command line.

-- AlterTable
ALTER TABLE "token" ADD COLUMN "for_chainloop" BOOLEAN NOT NULL DEFAULT false;
