import { BlobService } from "@attestry/api/cas";
import { ContentAddressableStorage, DigestFunction_Value } from "@attestry/api/reapi";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { createClient, type Transport } from "@connectrpc/connect";
import { type BlobCall, callOptions, hexOf } from "./call.ts";

export interface BlobRef {
  /** `sha256:<hex>`. */
  digest: string;
  sizeBytes: number;
}

export interface DescribedBlob {
  sizeBytes: number;
  /** The first backend of the token that has it. */
  backendName: string;
  storedAt: Date | undefined;
}

/** Size and place of a blob. Throws the gateway's ConnectError: NOT_FOUND (BLOB_NOT_FOUND), UNAVAILABLE, ... */
export async function describeBlob(
  transport: Transport,
  options: BlobCall & { digest: string },
): Promise<DescribedBlob> {
  hexOf(options.digest);
  const answer = await createClient(BlobService, transport).describe(
    { digest: options.digest },
    await callOptions(options),
  );
  return {
    sizeBytes: Number(answer.sizeBytes),
    backendName: answer.backendName,
    storedAt: answer.storedAt && timestampDate(answer.storedAt),
  };
}

/** Which of the blobs the token's backend lacks, in the order given, each once. Throws the gateway's ConnectError. */
export async function findMissing(
  transport: Transport,
  options: BlobCall & { blobs: readonly BlobRef[] },
): Promise<BlobRef[]> {
  const answer = await createClient(ContentAddressableStorage, transport).findMissingBlobs(
    {
      blobDigests: options.blobs.map(({ digest, sizeBytes }) => ({
        hash: hexOf(digest),
        sizeBytes: BigInt(sizeBytes),
      })),
      digestFunction: DigestFunction_Value.SHA256,
    },
    await callOptions(options),
  );
  return answer.missingBlobDigests.map(({ hash, sizeBytes }) => ({
    digest: `sha256:${hash}`,
    sizeBytes: Number(sizeBytes),
  }));
}

/**
 * Deletes a blob; deleting what is not there is no error. The token needs the role manager. The gateway refuses after
 * `notAfter` (DELETE_TOO_LATE), and bounds its own call to the store by it. Throws the gateway's ConnectError.
 */
export async function deleteBlob(
  transport: Transport,
  options: BlobCall & { digest: string; notAfter: Date },
): Promise<void> {
  hexOf(options.digest);
  await createClient(BlobService, transport).delete(
    { digest: options.digest, notAfter: timestampFromDate(options.notAfter) },
    await callOptions(options),
  );
}
