-- AlterTable
ALTER TABLE "token" ADD COLUMN "last_used_at" TIMESTAMPTZ(3);
