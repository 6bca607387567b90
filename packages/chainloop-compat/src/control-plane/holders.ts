import type { Run } from "@attestry/api/run";
import { reasonOf } from "@attestry/service-kit";
import { create, fromBinary } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { type ReferrerItem, ReferrerItemSchema } from "../gen/controlplane/v1/referrer_pb.ts";
import type { ControlPlaneContext } from "./context.ts";
import { type AskedRun, asCaller, type Native, unless } from "./native.ts";
import { attestationKind } from "./predicate/referrers.ts";

/** Of bundles that one call looks into; what is beyond is shown by its digest alone. In bytes. */
const mostLookedInto = 16 * 1024 * 1024;

/** Where attestations are looked for; empty: in all. */
export interface Scope {
  project: string;
  /** Of the project. */
  version: string;
}

export interface HolderPage {
  holders: ReferrerItem[];
  nextPageToken: string;
}

/**
 * A page of the attestations that hold a digest, `sha256:<hex>` of a material or `sha1:<hex>` of a commit; newest first.
 * The references of each are as what it holds that digest. Which version an attestation is of its run knows, so a page of
 * a version may have fewer, or none.
 */
export async function holdersOf(
  context: ControlPlaneContext,
  { digest, version, ...page }: Scope & { digest: string; pageSize: number; pageToken: string },
  call: HandlerContext,
): Promise<HolderPage> {
  const by = digest.startsWith("sha256:") ? { materialDigest: digest } : { subjectDigest: digest };
  const { attestations, nextPageToken } = await context.native.attestations.list({ ...by, ...page }, asCaller(call));
  const toldByRun = version === "" ? [] : attestations;
  const runs = await Promise.all(
    toldByRun.map(({ runId }) => findRun(context.native, { case: "runId", value: runId }, call)),
  );
  const holders: ReferrerItem[] = [];
  let left = mostLookedInto;
  // One after the other, and nothing is kept of a bundle but what is shown: together they could have gigabytes.
  for (const one of attestations.filter((_one, i) => isOf(runs[i], version))) {
    left -= Number(one.sizeBytes);
    const node = left < 0 ? bareNode(one.digest) : await readNode(context, one.digest, digest, call);
    if (node !== undefined) holders.push(madeAt(node, one.receivedAt));
  }
  return { holders, nextPageToken };
}

/**
 * An attestation with what it refers to; one that is too large or too odd to be looked into here by its digest alone.
 * Undefined if there is none there.
 */
export async function findNode(
  context: ControlPlaneContext,
  { digest, project, version }: Scope & { digest: string },
  call: HandlerContext,
): Promise<ReferrerItem | undefined> {
  if (!digest.startsWith("sha256:")) return undefined;
  const run = await findRun(context.native, { case: "digest", value: digest }, call);
  if (run === undefined || (project !== "" && run.project !== project) || !isOf(run, version)) return undefined;
  const node = await readNode(context, digest, undefined, call);
  return node && madeAt(node, run.finishedAt);
}

/** @param only the references to this digest; undefined: all */
async function readNode(
  { native, reader }: ControlPlaneContext,
  digest: string,
  only: string | undefined,
  call: HandlerContext,
): Promise<ReferrerItem | undefined> {
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

async function findRun({ runs }: Native, by: AskedRun, call: HandlerContext): Promise<Run | undefined> {
  return (await runs.get({ by }, asCaller(call)).catch(unless("RUN_NOT_FOUND")))?.run;
}

function isOf(run: Run | undefined, version: string): boolean {
  return version === "" || run?.projectVersion?.version === version;
}

function madeAt(node: ReferrerItem, time: Timestamp | undefined): ReferrerItem {
  if (time !== undefined) for (const one of [node, ...node.references]) one.createdAt = time;
  return node;
}

function bareNode(digest: string): ReferrerItem {
  return create(ReferrerItemSchema, { digest, kind: attestationKind, downloadable: true });
}
