import { reasonOf } from "@attestry/service-kit";
import { create, fromBinary } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { type ReferrerItem, ReferrerItemSchema } from "../gen/controlplane/v1/referrer_pb.ts";
import type { ControlPlaneContext } from "./context.ts";
import { asCaller } from "./native.ts";
import { attestationKind } from "./predicate/referrers.ts";

/** Of bundles that one call looks into; what is beyond is shown by its digest alone. In bytes. */
const mostLookedInto = 16 * 1024 * 1024;

/**
 * A page of the attestations that hold a digest, `sha256:<hex>` of a material or `sha1:<hex>` of a commit; newest first.
 * The references of each are as what it holds that digest.
 */
export async function holdersOf(
  context: ControlPlaneContext,
  { digest, ...page }: { digest: string; project: string; pageSize: number; pageToken: string },
  call: HandlerContext,
): Promise<{ holders: ReferrerItem[]; nextPageToken: string }> {
  const by = digest.startsWith("sha256:") ? { materialDigest: digest } : { subjectDigest: digest };
  const { attestations, nextPageToken } = await context.native.attestations.list({ ...by, ...page }, asCaller(call));
  const holders: ReferrerItem[] = [];
  let left = mostLookedInto;
  // One after the other, and nothing is kept of a bundle but what is shown: together they could have gigabytes.
  for (const one of attestations) {
    left -= Number(one.sizeBytes);
    const node = left < 0 ? bareNode(one.digest) : await findNode(context, { digest: one.digest, only: digest }, call);
    if (node !== undefined) holders.push(node);
  }
  return { holders, nextPageToken };
}

/**
 * An attestation with what it refers to, or `only` where it refers to one digest; one that is too large or too odd to be
 * looked into here by its digest alone. Undefined if there is no such attestation.
 */
export async function findNode(
  { native, reader }: ControlPlaneContext,
  { digest, only }: { digest: string; only?: string },
  call: HandlerContext,
): Promise<ReferrerItem | undefined> {
  if (!digest.startsWith("sha256:")) return undefined;
  try {
    const { bundle } = await native.attestations.get({ by: { case: "digest", value: digest } }, asCaller(call));
    const task = { kind: "referrers" as const, bundle, digest, only };
    return fromBinary(ReferrerItemSchema, await reader.bundle(task, call.signal));
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === "ATTESTATION_NOT_FOUND") return undefined;
    if (reason?.startsWith("BUNDLE_")) return bareNode(digest);
    throw error;
  }
}

function bareNode(digest: string): ReferrerItem {
  return create(ReferrerItemSchema, { digest, kind: attestationKind, downloadable: true });
}
