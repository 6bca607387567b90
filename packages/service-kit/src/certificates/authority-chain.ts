import { X509Certificate as NodeCertificate } from "node:crypto";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
} from "@peculiar/x509";

/** An authority that issues for signatures of code, and those above it. */
export interface AuthorityChain {
  issuer: X509Certificate;
  /** PEM, one certificate each: the issuer, then up to the root. */
  certificates: readonly string[];
  /** Of the issuer; the authority key identifier of what it issued. */
  subjectKeyId: Uint8Array;
  /** When all of it is good. */
  from: Date;
  until: Date;
}

interface Link {
  /** How messages name it. */
  what: string;
  certificate: X509Certificate;
  parsed: NodeCertificate;
}

const mostCertificates = 50;
const longestChain = 10;
const pemBlock = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/**
 * The chains that stand one after the other in a PEM file, each up to its self-signed root. Throws an error that says
 * what is wrong: no chain up to a root, not of authorities, or the first one not good at `now`.
 */
export function readChains(pem: string, now: Date): [AuthorityChain, ...AuthorityChain[]] {
  const [first, ...others] = chainsOf(readLinks(pem));
  if (first === undefined) throw new Error("there is no certificate in PEM");
  for (const { what, certificate } of first) {
    const { notBefore, notAfter } = certificate;
    if (notBefore <= now && now < notAfter) continue;
    throw new Error(`${what} is good only from ${notBefore.toISOString()} until ${notAfter.toISOString()}`);
  }
  return [readChain(first), ...others.map(readChain)];
}

export function pemOf(certificate: X509Certificate): string {
  return `${certificate.toString("pem")}\n`;
}

function readLinks(pem: string): Link[] {
  const blocks = pem.match(pemBlock) ?? [];
  if (blocks.length > mostCertificates)
    throw new Error(`expected at most ${mostCertificates} certificates; came ${blocks.length}`);
  return blocks.map((block, index) => {
    try {
      const certificate = new X509Certificate(block);
      const what = `certificate ${index + 1} (${certificate.subject})`;
      return { what, certificate, parsed: new NodeCertificate(Buffer.from(certificate.rawData)) };
    } catch (cause) {
      throw new Error(`certificate ${index + 1} cannot be read`, { cause });
    }
  });
}

function chainsOf(links: readonly Link[]): Link[][] {
  const chains: Link[][] = [];
  let chain: Link[] | undefined;
  for (const link of links) {
    if (chain === undefined) {
      chain = [];
      chains.push(chain);
    }
    chain.push(link);
    if (isBy(link, link)) chain = undefined;
  }
  return chains;
}

function readChain(chain: readonly Link[]): AuthorityChain {
  const [first] = chain;
  if (first === undefined) throw new Error("a chain has a certificate");
  if (chain.length > longestChain)
    throw new Error(`expected at most ${longestChain} certificates up to a root; came ${chain.length}`);
  for (const [index, link] of chain.entries()) checkLink(link, index, chain[index + 1]);
  const { what, certificate: issuer } = first;
  const usages = issuer.getExtension(ExtendedKeyUsageExtension)?.usages;
  if (usages !== undefined && !usages.includes(ExtendedKeyUsage.codeSigning) && !usages.includes("2.5.29.37.0"))
    throw new Error(`${what} is not for codeSigning (extended key usage)`);
  const keyId = issuer.getExtension(SubjectKeyIdentifierExtension)?.keyId ?? "";
  if (keyId === "") throw new Error(`${what} has no subject key identifier, by which verifiers find it`);
  return {
    issuer,
    certificates: chain.map(({ certificate }) => pemOf(certificate)),
    subjectKeyId: Buffer.from(keyId, "hex"),
    from: new Date(Math.max(...chain.map(({ certificate }) => certificate.notBefore.getTime()))),
    until: new Date(Math.min(...chain.map(({ certificate }) => certificate.notAfter.getTime()))),
  };
}

/** @param below how many of the chain are below it */
function checkLink(link: Link, below: number, next: Link | undefined): void {
  const { what, certificate } = link;
  const { ca = false, pathLength } = certificate.getExtension(BasicConstraintsExtension) ?? {};
  const usages = certificate.getExtension(KeyUsagesExtension)?.usages ?? KeyUsageFlags.keyCertSign;
  if (!ca || (usages & KeyUsageFlags.keyCertSign) === 0)
    throw new Error(`${what} is not an authority's: it may not sign certificates`);
  if (pathLength !== undefined && pathLength < below) throw new Error(`${what} allows only ${pathLength} below it`);
  if (isBy(link, next ?? link)) return;
  throw new Error(
    next === undefined ? `${what} is the last and no root: it did not sign itself` : `${what} is not by the next`,
  );
}

function isBy({ parsed }: Link, issuer: Link): boolean {
  return parsed.checkIssued(issuer.parsed) && parsed.verify(issuer.parsed.publicKey);
}
