import { create as contentDisposition } from "content-disposition";
import { entityTag } from "./preconditions.ts";

export interface Shown {
  hex: string;
  /** What a browser is to save it as; undefined: the digest. */
  fileName: string | undefined;
  /** Whether whoever has the URL has the blob. */
  byLink: boolean;
}

/** Headers of every answer that has the blob, a part of it, or says that the client has it. */
export function validators({ hex, byLink }: Shown): Record<string, string> {
  return {
    etag: entityTag(hex),
    // What was read with a header never changes, but is not for the next one who asks with another. A link is good for a
    // few minutes: what it gave is not to come out of a cache, of a shared computer for one, when it is over.
    "cache-control": byLink ? "private, no-store" : "private, max-age=31536000, immutable",
    ...(byLink ? { "referrer-policy": "no-referrer" } : { vary: "authorization" }),
  };
}

/** Headers of the answers to GET and HEAD, but for the length. Nothing that a client stored is ever run or shown by a browser. */
export function representation(shown: Shown): Record<string, string> {
  return {
    ...validators(shown),
    "accept-ranges": "bytes",
    "repr-digest": digestField(shown.hex),
    "content-type": "application/octet-stream",
    "content-disposition": contentDisposition(shown.fileName ?? shown.hex, { type: "attachment" }),
    "content-security-policy": "sandbox; default-src 'none'",
    "x-content-type-options": "nosniff",
  };
}

/** As Repr-Digest and Content-Digest have it: RFC 9530, section 2. */
export function digestField(hex: string): string {
  return `sha-256=:${Buffer.from(hex, "hex").toString("base64")}:`;
}
