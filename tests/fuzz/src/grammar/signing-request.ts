import fc from "fast-check";
import { mutated } from "./bytes.ts";

/** Of a key on P-256, as the chainloop command line sends it, and of an Ed25519 key, as openssl makes it. */
const originals = [
  "MIHrMIGRAgEAMC8xLTArBgNVBAMTJDc3NDZhZWRhLTFlMzEtNDdjZC05MzQ5LWU4NjcwMmQxYjcxZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABGU5fLAZ2iFTXR16abZeU9XWa38Q4y0J47tb+rYZybCCSXrgvH5rw/ItgQBKZTYXJ5J6vzXHOlAnSivlpDCuhm+gADAKBggqhkjOPQQDAgNJADBGAiEAr5AwjS3n+02V7AfSI9xzCqCDAcfcTmJWiNr7oSSTmLsCIQD6rNwsW6ORT1+A6U0211ZPC06ktKj0zG/3nkQRmItExQ==",
  "MIGyMGYCAQAwEDEOMAwGA1UEAwwFYSBqb2IwKjAFBgMrZXADIQARm3qF0NOyrL8mB0drL5AAEANC/Txv2oKOKRFOGgEoOaAjMCEGCSqGSIb3DQEJDjEUMBIwEAYDVR0RBAkwB4YFdXJuOngwBQYDK2VwA0EAmqNh2iHTiE8cY2zGpp90dRT9WbOhy9z+dxOfNyrWYr0cUVn3no7iYnlIZMnM4W52b5HYFBzjMY7uAaKLrGOHCg==",
].map((base64) => Buffer.from(base64, "base64"));

/** Real signing requests in PEM, with faults in what is signed or in the text. */
export const signingRequests: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 4, arbitrary: mutated(fc.constantFrom(...originals)).map(pem) },
  { weight: 1, arbitrary: mutated(fc.constantFrom(...originals.map(pem))) },
  { weight: 1, arbitrary: fc.constantFrom(...originals.map(pem)) },
);

/** Whether the key, as SubjectPublicKeyInfo in DER, is that of one of them. */
export function isOriginalKey(spki: Buffer): boolean {
  return originals.some((original) => original.includes(spki));
}

function pem(der: Buffer): Buffer {
  return Buffer.from(
    `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`,
  );
}
