-- What schema.prisma has no words for: ReferenceService.ListBundles, by these indexes alone.

-- A row enters it when its upload is confirmed: storing an attestation pays nothing for it.
CREATE INDEX "upload_confirmed_digest_idx" ON "upload"("organization_id", "backend_id", "digest") INCLUDE ("size_bytes")
    WHERE "state" = 'confirmed';

-- Modes database and spool pay nothing for it.
CREATE INDEX "attestation_cas_digest_idx" ON "attestation"("organization_id", "backend_id", "digest") INCLUDE ("size_bytes")
    WHERE "mode" = 'cas';
