import { v5 as uuidV5 } from "uuid";

/** Made for this purpose; a name space as RFC 9562 section 5.5 wants it. */
const nameSpace = "6c0f4b5e-3d6e-4c0a-9a57-2f1f4f0c8a11";

/**
 * The same id for the same blob from the same place (`origin`: host and path, say), so that a process that was killed
 * goes on with its upload when it runs again. A version 5 UUID.
 */
export function uploadIdOf(digest: string, origin: string): string {
  return uuidV5(`${digest}\n${origin}`, nameSpace);
}
