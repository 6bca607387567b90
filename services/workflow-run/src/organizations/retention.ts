import { type CasSpace, DomainError, type RetentionBounds } from "@attestry/service-kit";

/** How long what an organization stores is kept. */
export interface Retentions {
  attestations: RetentionBounds;
  /** The blobs that clients upload. */
  materials: RetentionBounds;
}

/** A google.protobuf.Duration. */
interface Duration {
  seconds: bigint;
  nanos: number;
}

/** 100 years of 365.25 days. */
const longestSeconds = 3_155_760_000;

/** The bounds that are in force for what a CAS token's key space holds; undefined: none. */
export function retentionOf({ attestations, materials }: Retentions, space: CasSpace): RetentionBounds | undefined {
  const bounds = space === "bundles" ? attestations : materials;
  return bounds.atLeastSeconds === 0 && bounds.atMostSeconds === 0 ? undefined : bounds;
}

/** Both bounds, in whole seconds, 0 for none. `what` is the name of the field. Throws RETENTION_INVALID. */
export function parseRetention(
  asked: { atLeast?: Duration | undefined; atMost?: Duration | undefined },
  what: string,
): RetentionBounds {
  const atLeastSeconds = parseBound(asked.atLeast, `${what}.at_least`);
  const atMostSeconds = parseBound(asked.atMost, `${what}.at_most`);
  if (atMostSeconds !== 0 && atMostSeconds < atLeastSeconds) {
    throw retentionInvalid(
      `${what}.at_most`,
      `0 for no end, or at least at_least (${atLeastSeconds} s)`,
      `${atMostSeconds} s`,
    );
  }
  return { atLeastSeconds, atMostSeconds };
}

function parseBound(duration: Duration | undefined, what: string): number {
  if (duration === undefined) return 0;
  const { seconds, nanos } = duration;
  if (nanos === 0 && seconds >= 0n && seconds <= BigInt(longestSeconds)) return Number(seconds);
  const came = nanos === 0 ? `${seconds} s` : `${seconds} s and ${nanos} ns`;
  throw retentionInvalid(what, `whole seconds, 0 to ${longestSeconds} (100 years)`, came);
}

export function retentionInvalid(what: string, expected: string, actual: string, cause?: unknown): DomainError {
  return new DomainError("RETENTION_INVALID", `${what} must be ${expected}; came ${actual}`, {
    metadata: { expected, actual },
    cause,
  });
}
