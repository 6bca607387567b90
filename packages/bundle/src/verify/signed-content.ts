import { hash, type KeyObject } from "node:crypto";
import type { SignedEntity } from "@sigstore/verify";
import type { Envelope } from "../envelope.ts";
import { isSignedBy } from "./envelope-signature.ts";
import { usableKey } from "./key.ts";

/** An envelope and its signatures, as @sigstore/verify compares them with what logs and timestamps say. */
export function signedContent(envelope: Envelope, signatures: readonly Buffer[]): SignedEntity["signature"] {
  return {
    // What timestamp authorities sign. A bundle with timestamps has one signature.
    signature: signatures[0] ?? Buffer.alloc(0),
    compareSignature: (signature) => signatures.some((own) => own.equals(signature)),
    compareDigest: (digest) => hash("sha256", envelope.payload, "buffer").equals(digest),
    compareSignedDigest: (digest) => hash("sha256", envelope.signed, "buffer").equals(digest),
    verifySignature: (object: KeyObject) => {
      const key = usableKey(() => object);
      return typeof key !== "string" && isSignedBy(envelope, key);
    },
  };
}
