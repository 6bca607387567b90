import { type BatchReadBlobsRequest, Compressor_Value, type Digest } from "@attestry/api/reapi";
import { type CasPrincipal, principal } from "@attestry/service-kit";
import type { HandlerContext } from "@connectrpc/connect";
import { type BlobRef, parseDigestMessage } from "../blobs/blob-ref.ts";
import { concurrently } from "../blobs/concurrently.ts";
import { readBlob } from "../blobs/read-blob.ts";
import {
  checkBatchBytes,
  checkDigestFunction,
  parseInstance,
  type Status,
  statusOf,
  statusOk,
} from "../blobs/reapi.ts";
import { compressed } from "../blobs/zstd.ts";
import { checkDigest } from "../callers/permissions.ts";
import type { Context } from "../context.ts";

const readsAtATime = 8;
/** Less is not worth a frame. */
const leastCompressedBytes = 256;

interface Content {
  data: Uint8Array;
  compressor: Compressor_Value;
}

interface Response extends Partial<Content> {
  digest: Digest;
  status: Status;
}

/** ContentAddressableStorage.BatchReadBlobs: each blob has its own status, as a Read of it would have. */
export async function batchReadBlobs(
  context: Context,
  request: BatchReadBlobsRequest,
  handler: HandlerContext,
): Promise<{ responses: Response[] }> {
  checkDigestFunction(request.digestFunction);
  const blobs = request.digests.map((digest) => ({ digest, blob: parseDigestMessage(digest) }));
  checkBatchBytes(blobs.map(({ blob }) => blob.sizeBytes));
  const caller = await context.callers.of(principal(handler), "download", parseInstance(request.instanceName));
  const mayCompress = request.acceptableCompressors.includes(Compressor_Value.ZSTD);
  const responses = await concurrently(blobs, readsAtATime, async ({ digest, blob }): Promise<Response> => {
    const reading = readOne(context, caller, blob, handler.signal);
    return (mayCompress ? reading.then((data) => smaller(data, caller, handler.signal)) : reading.then(plain)).then(
      (content) => ({ digest, ...content, status: statusOk }),
      (error: unknown) => ({ digest, status: statusOf(error) }),
    );
  });
  return { responses };
}

async function readOne(
  context: Context,
  caller: CasPrincipal,
  blob: BlobRef,
  signal: AbortSignal,
): Promise<Uint8Array> {
  checkDigest(caller, blob.hex);
  const chunks: Uint8Array[] = [];
  for await (const chunk of readBlob(context, { caller, blob, offset: 0, limit: 0, signal })) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function plain(data: Uint8Array): Content {
  return { data, compressor: Compressor_Value.IDENTITY };
}

/** Compressed, if that makes it smaller. */
async function smaller(data: Uint8Array, caller: CasPrincipal, signal: AbortSignal): Promise<Content> {
  if (data.byteLength < leastCompressedBytes) return plain(data);
  const pieces: Uint8Array[] = [];
  const options = { organization: caller.organization, sizeBytes: data.byteLength, signal };
  for await (const piece of compressed([data], options)) pieces.push(piece);
  const packed = Buffer.concat(pieces);
  return packed.byteLength < data.byteLength ? { data: packed, compressor: Compressor_Value.ZSTD } : plain(data);
}
