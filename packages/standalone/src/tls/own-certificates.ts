import { X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { isIP } from "node:net";
import os from "node:os";
import path from "node:path";
import { writeDurably } from "@attestry/data-dir";
import { Authority } from "@attestry/service-kit/certificates";

export interface OwnCertificates {
  certFile: string;
  keyFile: string;
  /** What clients need to trust it; undefined: the operator's own certificate, of an authority that clients know. */
  trustFile: string | undefined;
}

const dayMs = 86_400_000;
/** The longest that all systems accept of an authority of one's own (Apple, HT210176). */
const days = 825;
/** A start makes a new one when less is left; one that runs on is warned of in its log. */
const leastDays = 275;

/**
 * The certificate of a standalone server, in `dir`: `cert.pem` and `key.pem`. Without an operator's own they are made, by an
 * authority that is made the first time and stays, so that clients that trust it trust every later certificate.
 * @param host where it listens; the certificate is good for it, for this machine's name, and for localhost
 */
export async function prepareCertificates(dir: string, host: string): Promise<OwnCertificates> {
  const file = (name: string) => path.join(dir, name);
  const pair = { certFile: file("cert.pem"), keyFile: file("key.pem") };
  const own = { certFile: file("ca.pem"), keyFile: file("ca-key.pem") };
  const present = await readPair(pair);
  if (present !== undefined && !existsSync(own.keyFile))
    return { ...pair, trustFile: existsSync(own.certFile) ? own.certFile : undefined };

  await mkdir(dir, { recursive: true, mode: 0o700 });
  const authority = await openAuthority(own);
  // Put there by the operator since: never written over.
  if (present !== undefined && !present.verify(new X509Certificate(authority.cert).publicKey))
    return { ...pair, trustFile: undefined };
  const names = namesOf(host);
  if (present === undefined || !isGood(present, names)) {
    const { cert, key } = await authority.issue({ names, until: new Date(Date.now() + days * dayMs) });
    await writeDurably(pair.keyFile, key, 0o600);
    await writeDurably(pair.certFile, cert, 0o644);
  }
  return { ...pair, trustFile: own.certFile };
}

interface PairFiles {
  certFile: string;
  keyFile: string;
}

async function openAuthority({ certFile, keyFile }: PairFiles): Promise<Authority> {
  if (existsSync(certFile) && existsSync(keyFile)) {
    return Authority.load({ cert: await readFile(certFile, "utf8"), key: await readFile(keyFile, "utf8") });
  }
  const { authority, key } = await Authority.create(`Attestry on ${os.hostname()}`.slice(0, 64));
  await writeDurably(keyFile, key, 0o600);
  await writeDurably(certFile, authority.cert, 0o644);
  return authority;
}

function namesOf(host: string): string[] {
  const isEverywhere = host === "0.0.0.0" || host === "::";
  return [...new Set(["localhost", "127.0.0.1", "::1", os.hostname(), ...(isEverywhere ? [] : [host])])];
}

/** The certificate that is there; undefined unless its key is there too. */
async function readPair({ certFile, keyFile }: PairFiles): Promise<X509Certificate | undefined> {
  if (!existsSync(certFile) || !existsSync(keyFile)) return undefined;
  return new X509Certificate(await readFile(certFile));
}

/** Whether the certificate need not be made anew. */
function isGood(certificate: X509Certificate, names: string[]): boolean {
  const isLong = certificate.validToDate.getTime() > Date.now() + leastDays * dayMs;
  const isNamed = names.every((name) => (isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name)));
  return isLong && isNamed;
}
