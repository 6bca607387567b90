import { createHash, type KeyObject, sign } from "node:crypto";
import { type Authority, ecKeys, type Pair } from "./signing.ts";
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
}

/** A log like Rekor v1: it promises, and proves with a checkpoint that an entry is the second of two. */
export class TransparencyLog {
  readonly keys: Pair = ecKeys();
  readonly name = "log.example";
  readonly id = createHash("sha256").update(spki(this.keys.publicKey)).digest();

  /** The entry of a bundle's envelope, to put into its tlogEntries. */
  entry(bundle: Record<string, unknown>, options: EntryOptions = {}) {
    const { payload, signatures } = bundle.dsseEnvelope as Envelope;
    const [{ sig } = { sig: "" }] = signatures;
    const body = {
      apiVersion: "0.0.1",
      kind: "dsse",
      spec: {
        payloadHash: {
          algorithm: "sha256",
          value: sha256(options.payload ?? Buffer.from(payload, "base64")).toString("hex"),
        },
        signatures: [
          {
            signature: options.signature ?? sig,
            ...(options.verifier && { verifier: Buffer.from(options.verifier).toString("base64") }),
          },
        ],
      },
    };
    const canonicalizedBody = Buffer.from(JSON.stringify(body)).toString("base64");
    const integratedTime = Math.floor((options.integratedTime ?? new Date(0)).getTime() / 1000);
    const sibling = sha256(Buffer.from("the entry before"));
    const leafHash = sha256(Buffer.concat([Buffer.from([0]), Buffer.from(canonicalizedBody, "base64")]));
    const root = sha256(Buffer.concat([Buffer.from([1]), sibling, leafHash]));
    return {
      logIndex: "1",
      logId: { keyId: this.id.toString("base64") },
      kindVersion: { kind: "dsse", version: "0.0.1" },
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
    const note = `${this.name} - 1\n2\n${root.toString("base64")}\n`;
    const signature = Buffer.concat([this.id.subarray(0, 4), by.sign(note)]);
    return `${note}\n\u2014 ${this.name} ${signature.toString("base64")}\n`;
  }

  sign(text: string): Buffer {
    return sign("sha256", Buffer.from(text), this.keys.privateKey);
  }

  /** As trusted_root.json has it. */
  get instance() {
    return {
      baseUrl: `https://${this.name}`,
      hashAlgorithm: "SHA2_256",
      publicKey: {
        rawBytes: spki(this.keys.publicKey).toString("base64"),
        keyDetails: "PKIX_ECDSA_P256_SHA_256",
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
