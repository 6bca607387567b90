import "reflect-metadata";
import { createHash } from "node:crypto";
import { SubjectKeyIdentifierExtension, X509Certificate } from "@peculiar/x509";

/**
 * The name under which the client looks for what issued a certificate: SHA-256 of the key identifier that the certificate
 * names as its authority's, in hex.
 */
export function authorityKeyId(pem: string): string {
  const extension = new X509Certificate(pem).getExtension(SubjectKeyIdentifierExtension);
  if (extension === null) throw new Error("the certificate of the authority has no subject key identifier");
  return createHash("sha256").update(Buffer.from(extension.keyId, "hex")).digest("hex");
}
