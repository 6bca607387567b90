import { DomainError } from "@attestry/service-kit";

/** The digest as it came, `sha256:` and 64 lower-case hex digits. Throws DIGEST_INVALID. */
export function parseDigest(text: string): string {
  if (/^sha256:[0-9a-f]{64}$/.test(text)) return text;
  const actual = text.slice(0, 100);
  throw new DomainError(
    "DIGEST_INVALID",
    `digest must be sha256: and 64 lower-case hex digits; came ${actual === "" ? "nothing" : JSON.stringify(actual)}`,
    { metadata: { expected: "sha256:<64 lower-case hex digits>", actual } },
  );
}
