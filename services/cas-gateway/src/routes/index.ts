import { ByteStream } from "@attestry/api/bytestream";
import { BlobService, ScrubService } from "@attestry/api/cas";
import { Capabilities, ContentAddressableStorage } from "@attestry/api/reapi";
import { registerResourceService } from "@attestry/chainloop-compat/cas";
import type { ConnectRouter } from "@connectrpc/connect";
import { describedBlobs } from "../chainloop/described-blobs.ts";
import type { Context } from "../context.ts";
import { batchReadBlobs } from "./batch-read-blobs.ts";
import { batchUpdateBlobs } from "./batch-update-blobs.ts";
import { deleteBlob } from "./delete.ts";
import { describe } from "./describe.ts";
import { findMissingBlobs } from "./find-missing-blobs.ts";
import { getCapabilities } from "./get-capabilities.ts";
import { getScrubReport } from "./get-scrub-report.ts";
import { queryWriteStatus } from "./query-write-status.ts";
import { read } from "./read.ts";
import { validateBackend } from "./validate-backend.ts";
import { write } from "./write.ts";

/**
 * Large builds ask for 60,000 digests and more in one call, about 72 bytes each; and a batch of small blobs has more bytes
 * of digests than of blobs.
 */
const manyDigestsMaxBytes = 16 * 1024 * 1024;

export function registerRoutes(router: ConnectRouter, context: Context): void {
  router.service(ByteStream, {
    write: (messages, handler) => write(context, messages, handler),
    read: (request, handler) => read(context, request, handler),
    queryWriteStatus: (request, handler) => queryWriteStatus(context, request, handler),
  });
  const cas = ContentAddressableStorage.method;
  router.rpc(cas.findMissingBlobs, (request, handler) => findMissingBlobs(context, request, handler), {
    readMaxBytes: manyDigestsMaxBytes,
  });
  router.rpc(cas.batchUpdateBlobs, (request, handler) => batchUpdateBlobs(context, request, handler), {
    readMaxBytes: manyDigestsMaxBytes,
  });
  router.rpc(cas.batchReadBlobs, (request, handler) => batchReadBlobs(context, request, handler));
  router.service(Capabilities, {
    getCapabilities: (request, handler) => getCapabilities(context, request, handler),
  });
  router.service(BlobService, {
    describe: (request, handler) => describe(context, request, handler),
    delete: (request, handler) => deleteBlob(context, request, handler),
    validateBackend: (_request, handler) => validateBackend(context, handler),
  });
  if (context.config.chainloopCompat) registerResourceService(router, describedBlobs(context));
  router.service(ScrubService, { getReport: (request, handler) => getScrubReport(context, request, handler) });
}
