-- What the rows that are there already had put into them is not known, so they count as used.
ALTER TABLE "backend" ADD COLUMN "validation_notes" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN "uploads_since" TIMESTAMPTZ(3) DEFAULT CURRENT_TIMESTAMP;
