import { createHash, type KeyObject, sign } from "node:crypto";
import { type Authority, ecKeys, encoding, type Pair } from "./signing.ts";
import { V03 } from "./support.ts";

interface Envelope {
  payload: string;
  signatures: { sig: string }[];
}

export interface EntryOptions {
  integratedTime?: Date;
  /** Who signed, as the log noted it: a certificate or key in PEM. */
  verifier?: string;
  signature?: string;
  payload?: Buffer;
  /** What the log keeps of the envelope: dsse 0.0.1 unless told. */
  kind?: EntryKind;
}

export type EntryKind = "dsse 0.0.1" | "dsse 0.0.2" | "hashedrekord 0.0.1" | "hashedrekord 0.0.2" | "intoto 0.0.2";

/** What entries say of an envelope, each kind in its way: sigstore/rekor, pkg/types; sigstore/rekor-tiles, api/proto. */
const SPECS: Record<EntryKind, (logged: Logged) => object> = {
  "dsse 0.0.1": ({ payload, signature, verifier }) => ({
    payloadHash: { algorithm: "sha256", value: sha256(payload).toString("hex") },
    signatures: [{ signature, ...(verifier && { verifier: base64(verifier) }) }],
  }),
  "dsse 0.0.2": ({ payload, signature, verifier }) => ({
    dsseV002: {
      payloadHash: { algorithm: "SHA2_256", digest: sha256(payload).toString("base64") },
      signatures: [{ content: signature, verifier: keyOf(verifier) }],
    },
  }),
  "hashedrekord 0.0.1": ({ payload, signature, verifier }) => ({
    data: { hash: { algorithm: "sha256", value: sha256(encoding(payload)).toString("hex") } },
    signature: { content: signature, publicKey: { content: base64(verifier) } },
  }),
  "hashedrekord 0.0.2": ({ payload, signature, verifier }) => ({
    hashedRekordV002: {
      data: { algorithm: "SHA2_256", digest: sha256(encoding(payload)).toString("base64") },
      signature: { content: signature, verifier: keyOf(verifier) },
    },
  }),
  "intoto 0.0.2": ({ payload, signature, verifier }) => ({
    content: {
      envelope: {
        payloadType: "application/vnd.in-toto+json",
        signatures: [{ sig: base64(signature), publicKey: base64(verifier) }],
      },
      payloadHash: { algorithm: "sha256", value: sha256(payload).toString("hex") },
    },
  }),
};

interface Logged {
  payload: Buffer;
  signature: string;
  verifier: string;
}

function keyOf(pem: string): object {
  return { publicKey: { rawBytes: pem.replace(/-----[A-Z ]+-----|\n/g, "") }, keyDetails: "PKIX_ECDSA_P256_SHA_256" };
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

/** A log like Rekor v1: it promises, and proves with a checkpoint that an entry is the second of two. */
export class TransparencyLog {
  readonly name = "log.example";
  readonly keys: Pair;
  readonly id: Buffer;

  constructor(keys: Pair = ecKeys()) {
    this.keys = keys;
    this.id = sha256(spki(keys.publicKey));
  }

  /** The entry of a bundle's envelope, to put into its tlogEntries. */
  entry(bundle: Record<string, unknown>, options: EntryOptions = {}) {
    const { payload, signatures } = bundle.dsseEnvelope as Envelope;
    const [{ sig } = { sig: "" }] = signatures;
    const entryKind = options.kind ?? "dsse 0.0.1";
    const [kind = "", version = ""] = entryKind.split(" ");
    const spec = SPECS[entryKind]({
      payload: options.payload ?? Buffer.from(payload, "base64"),
      signature: options.signature ?? sig,
      verifier: options.verifier ?? "",
    });
    const body = { apiVersion: version, kind, spec };
    const canonicalizedBody = Buffer.from(JSON.stringify(body)).toString("base64");
    const integratedTime = Math.floor((options.integratedTime ?? new Date(0)).getTime() / 1000);
    const sibling = sha256(Buffer.from("the entry before"));
    const leafHash = sha256(Buffer.concat([Buffer.from([0]), Buffer.from(canonicalizedBody, "base64")]));
    const root = sha256(Buffer.concat([Buffer.from([1]), sibling, leafHash]));
    return {
      logIndex: "1",
      logId: { keyId: this.id.toString("base64") },
      kindVersion: { kind, version },
      integratedTime: String(integratedTime),
      inclusionPromise: { signedEntryTimestamp: this.promise(canonicalizedBody, integratedTime) },
      inclusionProof: {
        logIndex: "1",
        rootHash: root.toString("base64"),
        treeSize: "2",
        hashes: [sibling.toString("base64")],
        checkpoint: { envelope: this.checkpoint(root) },
      },
      canonicalizedBody,
    };
  }

  promise(body: string, integratedTime: number, logIndex = 1): string {
    // Canonical JSON: the names are sorted.
    const promised = JSON.stringify({ body, integratedTime, logID: this.id.toString("hex"), logIndex });
    return this.sign(promised).toString("base64");
  }

  checkpoint(root: Buffer, by: TransparencyLog = this): string {
    const note = this.note(root);
    return `${note}\n${this.noteSignature(note, by)}`;
  }

  /** What is signed of a checkpoint (transparency-dev/formats, log/README.md). */
  note(root: Buffer): string {
    return `${this.name} - 1\n2\n${root.toString("base64")}\n`;
  }

  /** The line of a signature under a note. */
  noteSignature(note: string, by: TransparencyLog = this): string {
    const signature = Buffer.concat([this.id.subarray(0, 4), by.sign(note)]);
    return `\u2014 ${this.name} ${signature.toString("base64")}\n`;
  }

  sign(text: string): Buffer {
    const { privateKey } = this.keys;
    return sign(privateKey.asymmetricKeyType === "ed25519" ? null : "sha256", Buffer.from(text), privateKey);
  }

  /** As trusted_root.json has it. */
  get instance() {
    return {
      baseUrl: `https://${this.name}`,
      hashAlgorithm: "SHA2_256",
      publicKey: {
        rawBytes: spki(this.keys.publicKey).toString("base64"),
        keyDetails: this.keys.publicKey.asymmetricKeyType === "ed25519" ? "PKIX_ED25519" : "PKIX_ECDSA_P256_SHA_256",
        validFor: { start: "2021-01-01T00:00:00Z" },
      },
      logId: { keyId: this.id.toString("base64") },
    };
  }
}

export interface RootParts {
  logs?: TransparencyLog[];
  ctLogs?: TransparencyLog[];
  authorities?: Authority[];
}

/** The text of a trusted_root.json. */
export function trustedRoot({ logs = [], ctLogs = [], authorities = [] }: RootParts): string {
  return JSON.stringify({
    mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    tlogs: logs.map((log) => log.instance),
    ctlogs: ctLogs.map((log) => log.instance),
    certificateAuthorities: authorities.map(({ der }) => ({
      subject: { organization: "acme", commonName: "acme" },
      uri: "https://ca.example",
      certChain: { certificates: [{ rawBytes: der.toString("base64") }] },
      validFor: { start: "2021-01-01T00:00:00Z" },
    })),
  });
}

/** The bundle with these entries, in its material. */
export function withEntries(bundle: Record<string, unknown>, entries: unknown[], mediaType = V03) {
  const material = bundle.verificationMaterial as Record<string, unknown>;
  return { ...bundle, mediaType, verificationMaterial: { ...material, tlogEntries: entries } };
}

function spki(key: KeyObject): Buffer {
  return key.export({ type: "spki", format: "der" });
}

function sha256(bytes: Buffer): Buffer {
  return createHash("sha256").update(bytes).digest();
}
