import type { DescribedBlobs } from "@attestry/chainloop-compat/cas";
import { principal } from "@attestry/service-kit";
import { spacesDescribed } from "../blobs/stored-blobs.ts";
import { checkDigest } from "../callers/permissions.ts";
import type { Context } from "../context.ts";

/** What the chainloop client is told of a blob: wherever BlobService.Describe would find it. */
export function describedBlobs(context: Context): DescribedBlobs {
  return {
    describe: async (hex, handler) => {
      const { signal } = handler;
      const caller = await context.callers.of(principal(handler), "download", undefined);
      checkDigest(caller, hex);
      const { value, backend, key } = await context.blobs.describe(caller, hex, spacesDescribed(caller), signal);
      return { sizeBytes: value.sizeBytes, fileName: await backend.fileName(key, signal) };
    },
  };
}
