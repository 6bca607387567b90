import { BlobService } from "@attestry/api/cas";
import type { Keyring } from "@attestry/service-kit";
import { createClient, type Transport } from "@connectrpc/connect";
import { casBackendOf } from "./backend.ts";
import type { Probe } from "./validator.ts";

/** Validates through the gateway, which alone knows what is behind a secret reference. */
export function createGatewayProbe(cas: Transport, keyring: Keyring, timeoutMs: number): Probe {
  const blobs = createClient(BlobService, cas);
  return async (backend, organization, signal) => {
    const { token } = await keyring.issueCasToken({
      organizationId: backend.organizationId,
      organization,
      role: "manager",
      space: "blobs",
      backends: [casBackendOf(backend)],
      maxBytes: backend.maxBytes,
    });
    return blobs.validateBackend({}, { headers: { authorization: `Bearer ${token}` }, timeoutMs, signal });
  };
}
