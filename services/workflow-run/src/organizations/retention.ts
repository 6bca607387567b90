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

/** What Update sets of the bounds; undefined: stays. */
export type RetentionChange = { [K in keyof RetentionBounds]?: number | undefined };

/** The bounds that are given, in whole seconds, 0 for none. `what` is the name of the field. Throws RETENTION_INVALID. */
export function parseRetention(
  { atLeast, atMost }: { atLeast?: Duration | undefined; atMost?: Duration | undefined },
  what: string,
): RetentionChange {
  return {
    atLeastSeconds: atLeast && parseBound(atLeast, `${what}.at_least`),
    atMostSeconds: atMost && parseBound(atMost, `${what}.at_most`),
  };
}

/** The bounds with the change made. Throws RETENTION_INVALID if the end comes before the promise ends. */
export function changedRetention(present: RetentionBounds, change: RetentionChange, what: string): RetentionBounds {
  const { atLeastSeconds = present.atLeastSeconds, atMostSeconds = present.atMostSeconds } = change;
  if (atMostSeconds !== 0 && atMostSeconds < atLeastSeconds) {
    throw retentionInvalid(
      `${what}.at_most`,
      `0 for no end, or at least at_least (${atLeastSeconds} s)`,
      `${atMostSeconds} s`,
    );
  }
  return { atLeastSeconds, atMostSeconds };
}

function parseBound(duration: Duration, what: string): number {
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
