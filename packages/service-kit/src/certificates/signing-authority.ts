import "reflect-metadata";
import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  X509Certificate as NodeCertificate,
  randomBytes,
} from "node:crypto";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { DomainError } from "../errors/domain-error.ts";
import { type AuthorityChain, pemOf, readChains } from "./authority-chain.ts";

/**
 * PEM: the certificate that issues, then those up to its self-signed root, and then likewise those of former authorities;
 * and the private key of the first one.
 */
export interface SigningPair {
  cert: string;
  key: string;
}

export type FormerAuthority = Pick<AuthorityChain, "certificates" | "subjectKeyId">;

export interface IssuedCertificate {
  /** PEM, one certificate each: the new one, then the authority's up to its root. */
  certificates: readonly string[];
  /** In hex. */
  serial: string;
  expiresAt: Date;
}

type SigningAlgorithm = { name: string; namedCurve?: string; hash: string };

const lifeMs = 10 * 60_000;
/** The clock of who verifies may be behind by this much. */
const leewayMs = 30_000;
const newForDays = 3_650;
const dayMs = 86_400_000;

/** Issues certificates, good for minutes, for keys that sign attestations: codeSigning and nothing else (RFC 5280). */
export class SigningAuthority {
  /** PEM, one certificate each: what issues, then up to the root. */
  readonly certificates: readonly string[];
  /** Of what issues; the authority key identifier of what it issued. */
  readonly subjectKeyId: Uint8Array;
  /** They issue nothing more; what they issued is verified by them. */
  readonly former: readonly FormerAuthority[];
  /** The last moment at which the whole chain is good. */
  readonly until: Date;
  readonly #from: Date;
  readonly #issuer: X509Certificate;
  readonly #key: CryptoKey;
  readonly #algorithm: SigningAlgorithm;

  private constructor([own, ...former]: readonly [AuthorityChain, ...AuthorityChain[]], key: KeyObject) {
    this.#issuer = own.issuer;
    this.certificates = own.certificates;
    this.subjectKeyId = own.subjectKeyId;
    this.former = former;
    this.until = own.until;
    this.#from = own.from;
    this.#algorithm = algorithmOf(key);
    this.#key = webKey(key, this.#algorithm);
  }

  /** A new self-signed certificate for a private key in PEM, good for ten years; PEM. */
  static async selfSigned(key: string): Promise<string> {
    const privateKey = createPrivateKey(key);
    const algorithm = algorithmOf(privateKey);
    const signingKey = webKey(privateKey, algorithm);
    const publicKey = createPublicKey(privateKey).export({ type: "spki", format: "der" });
    const keyId = await SubjectKeyIdentifierExtension.create(publicKey);
    // No other one has the name, not the one before it either: some verifiers look authorities up by their names.
    const subject = [{ O: ["Attestry"] }, { CN: [`Attestry signing ${keyId.keyId.slice(0, 8)}`] }];
    const certificate = await X509CertificateGenerator.create({
      serialNumber: newSerial(),
      ...{ subject, issuer: subject, publicKey, signingKey, signingAlgorithm: algorithm },
      notBefore: new Date(Date.now() - dayMs),
      notAfter: new Date(Date.now() + newForDays * dayMs),
      extensions: [
        keyId,
        new AuthorityKeyIdentifierExtension(keyId.keyId),
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    });
    return pemOf(certificate);
  }

  /** Throws an error that says what is wrong with them: no chain up to a root, not of authorities, run out, another key. */
  static load({ cert, key }: SigningPair, now = new Date()): SigningAuthority {
    const chains = readChains(cert, now);
    const privateKey = readKey(key);
    if (!new NodeCertificate(cert).checkPrivateKey(privateKey))
      throw new Error("the key is not that of the first certificate");
    return new SigningAuthority(chains, privateKey);
  }

  /**
   * A certificate for the key, good for 10 min. It names the organization and nobody else: as its subject, and as the URI
   * that verifiers take for the signer. Throws SIGNING_NOT_SET_UP if the authority itself has run out.
   */
  async issue(key: KeyObject, organizationId: string, now = new Date()): Promise<IssuedCertificate> {
    const moment = now.getTime();
    if (moment >= this.until.getTime())
      throw new DomainError("SIGNING_NOT_SET_UP", `the signing authority ran out at ${this.until.toISOString()}`);
    const expiresAt = wholeSecond(Math.min(moment + lifeMs, this.until.getTime()));
    const serial = newSerial();
    const publicKey = key.export({ type: "spki", format: "der" });
    const extensions: Extension[] = [
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.codeSigning]),
      await SubjectKeyIdentifierExtension.create(publicKey),
      new AuthorityKeyIdentifierExtension(Buffer.from(this.subjectKeyId).toString("hex")),
      new SubjectAlternativeNameExtension([{ type: "url", value: signerOf(organizationId) }]),
    ];
    const certificate = await X509CertificateGenerator.create({
      serialNumber: serial,
      subject: [{ O: [organizationId] }],
      issuer: this.#issuer.subjectName,
      publicKey,
      signingKey: this.#key,
      signingAlgorithm: this.#algorithm,
      notBefore: wholeSecond(Math.max(moment - leewayMs, this.#from.getTime())),
      notAfter: expiresAt,
      extensions,
    });
    return { certificates: [pemOf(certificate), ...this.certificates], serial, expiresAt };
  }
}

/** How certificates of a signing authority name an organization: RFC 9562's URN of its id. */
export function signerOf(organizationId: string): string {
  return `urn:uuid:${organizationId}`;
}

function readKey(key: string): KeyObject {
  try {
    return createPrivateKey(key);
  } catch (cause) {
    throw new Error("the key is no private key in PEM, or it is encrypted", { cause });
  }
}

function algorithmOf(key: KeyObject): SigningAlgorithm {
  const { namedCurve = "", modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "rsa" && modulusLength >= 2_048) return { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  if (key.asymmetricKeyType === "ec" && namedCurve === "prime256v1")
    return { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  if (key.asymmetricKeyType === "ec" && namedCurve === "secp384r1")
    return { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" };
  if (key.asymmetricKeyType === "ec" && namedCurve === "secp521r1")
    return { name: "ECDSA", namedCurve: "P-521", hash: "SHA-512" };
  throw new Error("expected a key of ECDSA (P-256, P-384, P-521) or RSA (2,048 bits or more)");
}

function webKey(key: KeyObject, algorithm: SigningAlgorithm): CryptoKey {
  return key.toCryptoKey(algorithm, false, ["sign"]) as CryptoKey;
}

function newSerial(): string {
  const bytes = randomBytes(20);
  // Positive, and of 20 bytes with any first bits.
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString("hex");
}

/** Certificates have no parts of seconds. */
function wholeSecond(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000);
}
