import type { IncomingHttpHeaders } from "node:http";
import { DomainError } from "@attestry/service-kit";
import { digestOf } from "../blobs/blob-ref.ts";

const fields = ["content-digest", "repr-digest"] as const;
/** A byte sequence of a structured field: RFC 9651, section 3.3.5. */
const sha256Member = /^sha-256\s*=\s*:([A-Za-z0-9+/=]*):\s*(?:;.*)?$/;

/**
 * Passes if the SHA-256 that a request's Content-Digest and Repr-Digest name, where they do, is the blob's. Throws
 * REQUEST_MALFORMED and DIGEST_MISMATCH. Other algorithms are left alone (RFC 9530, section 2).
 */
export function checkDigestFields(headers: IncomingHttpHeaders, hex: string): void {
  for (const field of fields) {
    const value = headers[field];
    // Byte sequences hold no commas.
    const members = [value ?? []]
      .flat()
      .join(",")
      .split(",")
      .map((member) => member.trim());
    for (const member of members) {
      if (!/^sha-256(?![\w.*-])/.test(member)) continue;
      const named = Buffer.from(sha256Member.exec(member)?.[1] ?? "", "base64");
      if (named.byteLength !== 32) throw malformed(field, member);
      if (named.toString("hex") !== hex) throw mismatch(field, hex, named.toString("hex"));
    }
  }
}

function malformed(field: string, member: string): DomainError {
  const expected = "sha-256=:<base64 of 32 bytes>:";
  return new DomainError(
    "REQUEST_MALFORMED",
    `${field} must be ${expected}; came ${JSON.stringify(member.slice(0, 100))}`,
    {
      metadata: { expected, actual: member.slice(0, 100) },
    },
  );
}

function mismatch(field: string, hex: string, named: string): DomainError {
  return new DomainError("DIGEST_MISMATCH", `the URL says ${digestOf(hex)}, ${field} says ${digestOf(named)}`, {
    metadata: { expected: digestOf(hex), actual: digestOf(named) },
  });
}
