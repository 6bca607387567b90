import { DomainError } from "../errors/domain-error.ts";

// gRPC writes a number of at most 8 digits and a unit (H M S m u n), Connect a number of milliseconds of at most 10.
const units: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6, "": 1 };

/** What the caller allows the call to take, in milliseconds; undefined: it set no bound. Throws REQUEST_MALFORMED. */
export function callTimeoutMs(header: Headers): number | undefined {
  const text = header.get("grpc-timeout") ?? header.get("connect-timeout-ms");
  if (text === null) return undefined;
  const match = /^(\d{1,10})([HMSmun]?)$/.exec(text);
  const unit = units[match?.[2] ?? ""];
  if (match === null || unit === undefined) {
    throw new DomainError(
      "REQUEST_MALFORMED",
      `the timeout header must be a number and a unit; came "${text.slice(0, 40)}"`,
    );
  }
  return Number(match[1]) * unit;
}
