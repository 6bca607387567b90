import type { Attestation, AttestationServiceListRequestSchema } from "@attestry/api/ingest";
import { reasonOf } from "@attestry/service-kit";
import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { type ReferrerItem, ReferrerItemSchema } from "../gen/controlplane/v1/referrer_pb.ts";
import type { ControlPlaneContext } from "./context.ts";
import { asCaller, type Native, unless } from "./native.ts";
import { attestationKind } from "./predicate/referrers.ts";

/** Of bundles that one call looks into; what is beyond is shown by its digest alone. In bytes. */
const mostLookedInto = 16 * 1024 * 1024;
const mostPages = 10;

export interface HoldersQuery {
  digest: string;
  /** Empty: all. */
  project: string;
  /** Of the project; empty: all. */
  version: string;
  pageSize: number;
  pageToken: string;
}

/**
 * A page of the attestations that hold a digest, `sha256:<hex>` of a material or `sha1:<hex>` of a commit; newest first.
 * The references of each are as what it holds that digest.
 */
export async function holdersOf(
  context: ControlPlaneContext,
  { digest, version, ...page }: HoldersQuery,
  call: HandlerContext,
): Promise<{ holders: ReferrerItem[]; nextPageToken: string }> {
  const by = digest.startsWith("sha256:") ? { materialDigest: digest } : { subjectDigest: digest };
  const { attestations, nextPageToken } = await pageOf(context.native, { ...by, ...page }, version, call);
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

interface AttestationPage {
  attestations: Attestation[];
  nextPageToken: string;
}

/** Which version an attestation is of its run knows: a page has fewer of it, and none only at the end or after many pages. */
async function pageOf(
  native: Native,
  query: MessageInitShape<typeof AttestationServiceListRequestSchema>,
  version: string,
  call: HandlerContext,
): Promise<AttestationPage> {
  let page: AttestationPage = { attestations: [], nextPageToken: query.pageToken ?? "" };
  for (let pages = 0; pages === 0 || (page.nextPageToken !== "" && pages < mostPages); pages++) {
    page = await native.attestations.list({ ...query, pageToken: page.nextPageToken }, asCaller(call));
    if (version === "") return page;
    const attestations = await ofVersion(native, page.attestations, version, call);
    if (attestations.length > 0) return { ...page, attestations };
  }
  return { ...page, attestations: [] };
}

async function ofVersion(
  { runs }: Native,
  attestations: readonly Attestation[],
  version: string,
  call: HandlerContext,
): Promise<Attestation[]> {
  const found = await Promise.all(
    attestations.map(({ runId: value }) =>
      runs.get({ by: { case: "runId", value } }, asCaller(call)).catch(unless("RUN_NOT_FOUND")),
    ),
  );
  return attestations.filter((_one, i) => found[i]?.run?.projectVersion?.version === version);
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
