import { type AccessTable, DomainError } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { ResourceService, type ResourceServiceDescribeResponseSchema } from "../gen/cas/v1/cas_pb.ts";

/** What a CAS tells of its blobs. */
export interface DescribedBlobs {
  /** Of the blob with that SHA-256, in lower-case hex; throws if the caller may not see one. */
  describe(hex: string, handler: HandlerContext): Promise<DescribedBlob>;
}

export interface DescribedBlob {
  sizeBytes: number;
  /** What its first upload called it; undefined: nothing. */
  fileName: string | undefined;
}

/** Who may call it: an API token acts as it does in ByteStream.Read. */
export const resourceAccess: AccessTable = {
  "cas.v1.ResourceService/Describe": { cas: ["uploader", "downloader", "manager"], api: "reader" },
};

const bareDigest = /^[0-9a-f]{64}$/;

/** The bare digest by which the chainloop client reads a blob. */
export function isBareDigest(name: string): boolean {
  return bareDigest.test(name);
}

export function registerResourceService(router: ConnectRouter, blobs: DescribedBlobs): void {
  router.service(ResourceService, { describe: ({ digest }, handler) => describe(blobs, digest, handler) });
}

/** ResourceService.Describe. The client calls the downloaded file by the name, so there is always one. Throws DIGEST_INVALID. */
async function describe(
  blobs: DescribedBlobs,
  digest: string,
  handler: HandlerContext,
): Promise<MessageInitShape<typeof ResourceServiceDescribeResponseSchema>> {
  if (!isBareDigest(digest)) throw digestInvalid(digest);
  const { sizeBytes, fileName } = await blobs.describe(digest, handler);
  return { result: { fileName: fileName ?? digest, digest, size: BigInt(sizeBytes) } };
}

function digestInvalid(digest: string): DomainError {
  const actual = digest.slice(0, 100);
  return new DomainError("DIGEST_INVALID", `expected 64 lower-case hex digits, got ${JSON.stringify(actual)}`, {
    metadata: { expected: "64 lower-case hex digits", actual },
  });
}
