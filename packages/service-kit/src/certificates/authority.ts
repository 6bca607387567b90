import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { isIP } from "node:net";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

/** A certificate and its private key, both PEM. */
export interface Pair {
  cert: string;
  key: string;
}

export interface IssueOptions {
  /** Host names and addresses that it is good for. */
  names: readonly string[];
  from?: Date;
  until: Date;
}

const { subtle } = webcrypto;
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const dayMs = 86_400_000;
const authorityDays = 3_650;

/** An authority of one's own: makes certificates for servers and clients (RFC 5280; ECDSA on P-256). */
export class Authority {
  /** PEM; what those who are to trust it need. */
  readonly cert: string;
  readonly #certificate: X509Certificate;
  readonly #key: CryptoKey;

  private constructor(certificate: X509Certificate, key: CryptoKey) {
    this.cert = pem(certificate);
    this.#certificate = certificate;
    this.#key = key;
  }

  /** A new one, good for ten years. */
  static async create(name: string): Promise<{ authority: Authority; key: string }> {
    const keys = await generateKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      name: `CN=${name}`,
      keys,
      signingAlgorithm: algorithm,
      notBefore: new Date(Date.now() - dayMs),
      notAfter: new Date(Date.now() + authorityDays * dayMs),
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return { authority: new Authority(certificate, keys.privateKey), key: await keyPem(keys.privateKey) };
  }

  /** Throws if they are no PEM of an authority and its key. */
  static async load({ cert, key }: Pair): Promise<Authority> {
    const privateKey = await subtle.importKey("pkcs8", PemConverter.decodeFirst(key), algorithm, true, ["sign"]);
    return new Authority(new X509Certificate(cert), privateKey as CryptoKey);
  }

  /** A certificate for a server at these names, which may also be shown as a client. */
  async issue({ names, from = new Date(Date.now() - dayMs), until }: IssueOptions): Promise<Pair> {
    const keys = await generateKeys();
    const certificate = await X509CertificateGenerator.create({
      subject: `CN=${names[0]}`,
      issuer: this.#certificate.subject,
      publicKey: keys.publicKey,
      signingKey: this.#key,
      signingAlgorithm: algorithm,
      notBefore: from,
      notAfter: until,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
        new SubjectAlternativeNameExtension(
          names.map((value) => ({ type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const), value })),
        ),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
        await AuthorityKeyIdentifierExtension.create(this.#certificate.publicKey),
      ],
    });
    return { cert: pem(certificate), key: await keyPem(keys.privateKey) };
  }
}

/** As the library's types have them, which know fewer uses of keys than Node's. */
async function generateKeys(): Promise<CryptoKeyPair> {
  return (await subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
}

function pem(certificate: X509Certificate): string {
  return `${certificate.toString("pem")}\n`;
}

async function keyPem(key: CryptoKey): Promise<string> {
  return `${PemConverter.encode(await subtle.exportKey("pkcs8", key as webcrypto.CryptoKey), "PRIVATE KEY")}\n`;
}
