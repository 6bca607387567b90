-- Whether the run's backend is external, so that a missing upload can be told from one that was never wanted. Null: the
-- row is of an older build. Nothing is filled in, so that no lock is held for long.
ALTER TABLE "attestation" ADD COLUMN "external" BOOLEAN;
