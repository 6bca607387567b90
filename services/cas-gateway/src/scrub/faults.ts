import { ScrubFault, type ScrubFinding, ScrubFindingSchema, type ScrubPass } from "@attestry/api/cas";
import type { CasSpace } from "@attestry/service-kit";
import { create } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { digestOf, parseDigest } from "../blobs/blob-ref.ts";
import { type Pace, prove, UnreadableError } from "./prove.ts";
import { repair } from "./repair.ts";
import { placeOf, type ScrubContext, type Target } from "./target.ts";
import type { Fault } from "./telemetry.ts";

/** Findings that a pass remembers; it counts the others. */
const remembered = 1_000;

const faults: Record<Fault, ScrubFault> = { corrupt: ScrubFault.CORRUPT, missing: ScrubFault.MISSING };

export interface Found {
  fault: Fault;
  space: CasSpace;
  hex: string;
}

/**
 * Counts a fault, and repairs it if it can be. One that is to be set aside first is written down before, so that no crash
 * leaves a blob out of sight that nobody knows of.
 */
export async function settle(
  context: ScrubContext,
  target: Target,
  pass: ScrubPass,
  found: Found,
  { pace, setAside }: { pace: Pace; setAside?: () => Promise<void> },
): Promise<void> {
  const { telemetry, logger } = context;
  const { caller, named } = target;
  const finding = findingOf(pass, found);
  if (finding === undefined) telemetry.fault(named.provider, found.fault);
  const noted = finding ?? note(pass, found);
  if (setAside !== undefined) {
    if (pass.findings.includes(noted)) await pace.save();
    await setAside();
  }
  noted.repaired = await repair(context, target, found, pace);
  const about = { digest: noted.digest, space: found.space, backend: named.name, organization: caller.organization };
  if (noted.repaired) {
    pass.repaired++;
    telemetry.repaired(named.provider, found.fault);
    logger.warn(about, `a blob was ${found.fault}, and is repaired`);
  } else {
    logger.warn(about, `a blob is ${found.fault}, and no other place has it`);
  }
}

/** One that was noted before this process or another one died over it. */
function findingOf(pass: ScrubPass, { fault, space, hex }: Found): ScrubFinding | undefined {
  const digest = digestOf(hex);
  const isSame = (one: ScrubFinding) => one.digest === digest && one.space === space && one.fault === faults[fault];
  return unrepaired(pass).find(isSame);
}

function note(pass: ScrubPass, { fault, space, hex }: Found): ScrubFinding {
  if (fault === "corrupt") pass.corrupt++;
  else pass.missing++;
  const about = { fault: faults[fault], digest: digestOf(hex), space, foundAt: timestampNow() };
  const finding = create(ScrubFindingSchema, about);
  if (pass.findings.length < remembered) pass.findings.push(finding);
  return finding;
}

/**
 * At the beginning of a pass: materials that were set aside in the last one and are still not there would be seen by
 * nobody any more, so they are found again. Bundles are missed by attestation-ingest.
 */
export async function carryOver(
  context: ScrubContext,
  target: Target,
  { last, current }: { last: ScrubPass | undefined; current: ScrubPass },
  pace: Pace,
): Promise<void> {
  for (const finding of unrepaired(last)) {
    const found = parsed(finding);
    if (found === undefined || (found.space === "bundles" && context.references !== undefined)) continue;
    await pace.progress();
    const { backend, key } = placeOf(target, found.space, found.hex);
    if ((await backend.describe(key, pace.signal)) === undefined)
      await settle(context, target, current, found, { pace });
  }
}

/** At the end of a pass: a backend that was away may be back, and somebody may have stored a blob again. */
export async function tryAgain(context: ScrubContext, target: Target, pass: ScrubPass, pace: Pace): Promise<void> {
  for (const finding of unrepaired(pass)) {
    const found = parsed(finding);
    if (found === undefined) continue;
    await pace.progress();
    const { backend, key } = placeOf(target, found.space, found.hex);
    const isRight = await prove(backend, key, found.hex, pace).then(
      ({ result }) => result === "right",
      (error: unknown) => {
        // That is how it was found.
        if (error instanceof UnreadableError) return false;
        throw error;
      },
    );
    if (!isRight && !(await repair(context, target, found, pace))) continue;
    finding.repaired = true;
    pass.repaired++;
    context.telemetry.repaired(target.named.provider, found.fault);
  }
}

function unrepaired(pass: ScrubPass | undefined): ScrubFinding[] {
  return pass?.findings.filter(({ repaired }) => !repaired) ?? [];
}

function parsed({ fault, space, digest }: ScrubFinding): Found | undefined {
  if (space !== "blobs" && space !== "bundles") return undefined;
  return { fault: fault === ScrubFault.MISSING ? "missing" : "corrupt", space, hex: parseDigest(digest) };
}
