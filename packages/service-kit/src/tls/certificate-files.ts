import { X509Certificate } from "node:crypto";
import { open } from "node:fs/promises";
import { createSecureContext, type SecureContextOptions } from "node:tls";

/** Which files hold a certificate with its key, and the authorities that the other side's certificate must come from. */
export interface CertificateFiles {
  /** PEM of the certificate, its intermediates after it. */
  certFile?: string | undefined;
  /** PEM of its private key. */
  keyFile?: string | undefined;
  /** PEM of one or more authorities. */
  caFile?: string | undefined;
}

/** What stands in the files: whole, of one piece, and accepted by OpenSSL. */
export interface Certificates {
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly ca?: Buffer;
  /** Of the first certificate in `cert`: from when and until when it is good. */
  readonly validity?: { from: Date; until: Date };
}

/** No certificate comes near it, so a path that leads to something else does no harm. */
const largestFile = 1024 * 1024;

/**
 * What both sides of a connection use of TLS: 1.3, and of 1.2 only what has forward secrecy and authenticated encryption
 * (Mozilla's "intermediate", without DHE).
 */
export const modernTls = {
  minVersion: "TLSv1.2",
  ciphers: [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
  ].join(":"),
} as const satisfies SecureContextOptions;

/** Reads the files that are named. Throws, naming the file, if one cannot be read, is none, or key and certificate do not go together. */
export async function readCertificates(files: CertificateFiles): Promise<Certificates> {
  const { certFile, keyFile, caFile } = files;
  const [cert, key, ca] = await Promise.all([certFile, keyFile, caFile].map(readBounded));
  const validity = cert && validityOf(certFile, cert);
  if (ca !== undefined) checkAuthorities(caFile, ca);
  try {
    createSecureContext({ ...modernTls, ...(cert && { cert }), ...(key && { key }) });
  } catch (cause) {
    const message = `${certFile} and ${keyFile} are no certificate with its private key: ${(cause as Error).message}`;
    throw new Error(message, { cause });
  }
  return { ...(cert && { cert }), ...(key && { key }), ...(ca && { ca }), ...(validity && { validity }) };
}

/** Whether both are of the same bytes. */
export function areSame(one: Certificates, other: Certificates): boolean {
  return (["cert", "key", "ca"] as const).every((part) =>
    (one[part] ?? Buffer.alloc(0)).equals(other[part] ?? Buffer.alloc(0)),
  );
}

async function readBounded(file: string | undefined): Promise<Buffer | undefined> {
  if (file === undefined) return undefined;
  await using handle = await open(file);
  const { size } = await handle.stat();
  if (size > largestFile) throw new Error(`${file} has ${size} bytes, more than a certificate or key has`);
  return handle.readFile();
}

function validityOf(file: string | undefined, cert: Buffer): { from: Date; until: Date } {
  const { validFromDate, validToDate } = parse(file, cert);
  return { from: validFromDate, until: validToDate };
}

function checkAuthorities(file: string | undefined, ca: Buffer): void {
  const blocks = ca.toString("latin1").match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new Error(`${file} holds no certificate`);
  for (const block of blocks) parse(file, Buffer.from(block));
}

function parse(file: string | undefined, pem: Buffer): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new Error(`${file} holds no certificate that can be read: ${(cause as Error).message}`, { cause });
  }
}
