import { reasonOf } from "@attestry/service-kit";
import type { HandlerContext } from "@connectrpc/connect";
import { asCaller, type Native } from "./native.ts";
import { readBundle, type ShownBundle } from "./predicate/statement.ts";

/** An attestation that holds something. */
export interface Holder {
  digest: string;
  bundle: ShownBundle;
}

/** A page of the attestations that hold a digest, `sha256:<hex>` of a material or `sha1:<hex>` of a commit; newest first. */
export async function holdersOf(
  native: Native,
  { digest, ...page }: { digest: string; project: string; pageSize: number; pageToken: string },
  call: HandlerContext,
): Promise<{ holders: Holder[]; nextPageToken: string }> {
  const by = digest.startsWith("sha256:") ? { materialDigest: digest } : { subjectDigest: digest };
  const { attestations, nextPageToken } = await native.attestations.list({ ...by, ...page }, asCaller(call));
  const holders: Holder[] = [];
  // One after the other: together their bundles could have hundreds of megabytes.
  for (const one of attestations) {
    const bundle = await findBundle(native, one.digest, call);
    if (bundle !== undefined) holders.push({ digest: one.digest, bundle });
  }
  return { holders, nextPageToken };
}

/** Undefined if there is no such attestation, or if it is too large to be looked into here. */
export async function findBundle(
  native: Native,
  digest: string,
  call: HandlerContext,
): Promise<ShownBundle | undefined> {
  if (!digest.startsWith("sha256:")) return undefined;
  try {
    const { bundle } = await native.attestations.get({ by: { case: "digest", value: digest } }, asCaller(call));
    return readBundle(bundle);
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === "ATTESTATION_NOT_FOUND" || reason === "BUNDLE_NEEDS_DOWNLOAD") return undefined;
    throw error;
  }
}
