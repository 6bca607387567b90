import type { ScrubPass } from "@attestry/api/cas";
import type { CasSpace } from "@attestry/service-kit";
import { isDigestHex } from "../blobs/blob-ref.ts";
import { blobKey } from "../blobs/key.ts";
import type { Place } from "../blobs/proofs.ts";
import { settle } from "./faults.ts";
import { type Merged, merged } from "./merged.ts";
import { type Pace, type Proof, prove, UnreadableError } from "./prove.ts";
import { placeOf, type ScrubContext, spaces, type Target, whoseOf } from "./target.ts";

export interface WalkOptions {
  pass: ScrubPass;
  pace: Pace;
  /** Milliseconds since 1970. */
  until: number;
  /** Whether the first blob that cannot be read counts as corrupt: others can be, and this one failed before. */
  givesUpOnOne: boolean;
}

/**
 * Goes on with a pass where its position says, blob by blob in the order of the keys: what is listed is proven, and of
 * bundles also what ought to be listed is looked for. True at the end, false when the time is over. A backend or peer
 * that fails ends it with its fault; the position is the last blob that was dealt with.
 */
export async function walk(
  context: ScrubContext,
  target: Target,
  { pass, pace, until, givesUpOnOne }: WalkOptions,
): Promise<boolean> {
  let isFirst = true;
  for (const space of spaces) {
    if (isBehind(pass.position, space)) continue;
    for await (const met of digestsIn(context, target, space, pass.position, pace.signal)) {
      if (Date.now() >= until) return false;
      const step = { pass, pace, space, met, givesUp: givesUpOnOne && isFirst };
      if (met.listed !== undefined) await check(context, target, step);
      else await lookFor(context, target, step);
      isFirst = false;
      pass.position = blobKey(space, met.hex);
      await pace.progress();
    }
  }
  return true;
}

interface Listed {
  hex: string;
  sizeBytes: number;
}

interface Step {
  pass: ScrubPass;
  pace: Pace;
  space: CasSpace;
  met: Merged<Listed>;
  givesUp: boolean;
}

async function check(context: ScrubContext, target: Target, step: Step): Promise<void> {
  const { pass, pace, space, met } = step;
  const { hex } = met;
  const place = placeOf(target, space, hex);
  const { backend, key } = place;
  let proof = await judge(place, step, met.listed?.sizeBytes);
  // Once more: the fault may have been on the way, and a right blob may have taken its place.
  if (proof.result === "wrong") proof = await judge(place, step, (await backend.describe(key, pace.signal))?.sizeBytes);
  if (proof.result === "right") {
    pass.blobsVerified++;
    pass.bytesVerified += BigInt(proof.sizeBytes);
    context.telemetry.verified(target.named.provider, proof.sizeBytes);
  } else if (proof.result === "wrong") {
    const { sizeBytes, openedAt } = proof;
    const setAside = () => context.proofs.condemn(place, { hex, sizeBytes }, openedAt);
    await settle(context, target, pass, { fault: "corrupt", space, hex }, { pace, setAside });
  } else {
    // Deleted since it was listed, which is no fault unless it ought to be there.
    await lookFor(context, target, step);
  }
}

/**
 * A blob is wrong, too, if the backend knows it by another size, as FindMissing and reads go by that, and if it is there
 * but for its bytes.
 */
async function judge({ backend, key }: Place, step: Step, knownBytes: number | undefined): Promise<Proof> {
  const { met, pace, givesUp } = step;
  const openedAt = Date.now();
  const wrong: Proof = { result: "wrong", sizeBytes: 0, openedAt };
  const proof = await prove(backend, key, met.hex, pace).catch((error: unknown) => {
    if (!givesUp || !(error instanceof UnreadableError)) throw error;
    return wrong;
  });
  if (proof.result === "absent") return (await backend.describe(key, pace.signal)) === undefined ? proof : wrong;
  return knownBytes === undefined || proof.sizeBytes === knownBytes ? proof : { ...proof, result: "wrong" };
}

/**
 * A blob that was not met counts as missing only if it is not there now, is referred to now, and is then still not
 * there: listings and references are of different moments, and blobs come and go between them.
 */
async function lookFor(context: ScrubContext, target: Target, { pass, pace, space, met }: Step): Promise<void> {
  if (!met.isReferenced) return;
  const place = placeOf(target, space, met.hex);
  const isThere = async () => (await target.backend.describe(place.key, pace.signal)) !== undefined;
  if (await isThere()) return;
  const isReferenced = await context.references?.includes(whoseOf(target), met.hex, pace.signal);
  if (isReferenced !== true || (await isThere())) return;
  context.proofs.forget(place);
  await settle(context, target, pass, { fault: "missing", space, hex: met.hex }, { pace });
}

function digestsIn(
  { references }: ScrubContext,
  target: Target,
  space: CasSpace,
  position: string,
  signal: AbortSignal,
): AsyncIterable<Merged<Listed>> {
  const after = isIn(position, space) ? position : "";
  const listed = listedIn(target, space, after, signal);
  const isReferable = space === "bundles" && references !== undefined;
  return merged(listed, isReferable ? references.list(whoseOf(target), hexOf(after), signal) : none());
}

/** What is no blob is passed over. */
async function* listedIn(
  { backend }: Target,
  space: CasSpace,
  after: string,
  signal: AbortSignal,
): AsyncGenerator<Listed> {
  for await (const { key, sizeBytes } of backend.list(`${space}/`, after, signal)) {
    const hex = hexOf(key);
    if (isDigestHex(hex) && key === blobKey(space, hex)) yield { hex, sizeBytes };
  }
}

async function* none(): AsyncGenerator<never> {}

function isIn(position: string, space: CasSpace): boolean {
  return position.startsWith(`${space}/`);
}

/** Whether the position is in a space that comes later. */
function isBehind(position: string, space: CasSpace): boolean {
  return spaces.slice(spaces.indexOf(space) + 1).some((later) => isIn(position, later));
}

function hexOf(key: string): string {
  return key.slice(key.lastIndexOf("/") + 1);
}
