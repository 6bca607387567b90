import { TrustedRoot } from "@sigstore/protobuf-specs";
import { type TrustMaterial as SigstoreTrust, toTrustMaterial } from "@sigstore/verify";
import { describe, isJsonObject } from "../describe.ts";
import { mismatch } from "../error.ts";
import { readJson } from "../json-text.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import type { PublicKey } from "./key.ts";
import { readPemCertificates, readPemKey, trustError } from "./pem.ts";
import type { SignerPattern } from "./signer-pattern.ts";

/** What a signature may chain to. */
export interface TrustMaterial {
  /** Texts of Sigstore's trusted_root.json (sigstore_trustroot.proto): certificate authorities, logs, timestamp authorities. */
  trustedRoots: readonly string[];
  /** PEM; in each all certificates of one chain up to its self-signed root, in any order. */
  certificateAuthorities: readonly string[];
  /** PEM (SPKI), one in each. */
  publicKeys: readonly string[];
}

export interface TrustPolicy {
  material: TrustMaterial;
  /** Entries of trusted transparency logs that a bundle needs. */
  transparencyLogThreshold: number;
  /** Signed times that a bundle needs: of trusted timestamp authorities, or of trusted logs that promised inclusion. */
  timestampThreshold: number;
  /** Any one must match; empty: any signer. */
  signers: readonly SignerPattern[];
}

/** Certificate authorities, and the logs that must have seen certificates of theirs. */
export type Anchor = Pick<SigstoreTrust, "certificateAuthorities" | "ctlogs"> & { ctlogThreshold: number };

/** A trust policy, read. */
export type ParsedTrustPolicy = Pick<SigstoreTrust, "tlogs" | "timestampAuthorities"> &
  Pick<TrustPolicy, "transparencyLogThreshold" | "timestampThreshold" | "signers"> & {
    anchors: readonly Anchor[];
    publicKeys: readonly PublicKey[];
  };

const MEDIA_TYPE = /^application\/vnd\.dev\.sigstore\.trustedroot(\+json;version=0\.[12]|\.v0\.[12]\+json)$/;
/** Of each kind in one trusted root; the public-good instance has 2. Each takes up to a millisecond of a verification. */
const MOST_AUTHORITIES = 32;
/** Paths are searched through all certificates of a chain, so a long one could take for ever. */
const MOST_CERTIFICATES = 10;

/**
 * Reads a trust policy: what verifyTrusted needs, made once.
 *
 * @throws BundleError TRUST_MATERIAL_INVALID: which entry cannot be read, and why.
 */
export function parseTrustPolicy(policy: TrustPolicy): ParsedTrustPolicy {
  const { material, transparencyLogThreshold, timestampThreshold, signers } = policy;
  checkThreshold("transparencyLogThreshold", transparencyLogThreshold);
  checkThreshold("timestampThreshold", timestampThreshold);
  const roots = material.trustedRoots.map((text, index) => readTrustedRoot(text, `trustedRoots[${index}]`));
  const chains = material.certificateAuthorities.map((pem, index) => {
    return readPemCertificates(pem, `certificateAuthorities[${index}]`, MOST_CERTIFICATES);
  });
  const ctlogs = roots.flatMap((root) => root.ctlogs);
  const anchors = roots.map((root) => ({
    certificateAuthorities: root.certificateAuthorities,
    ctlogs: root.ctlogs,
    ctlogThreshold: root.ctlogs.length === 0 ? 0 : 1,
  }));
  const own = {
    certificateAuthorities: chains.map((certChain) => ({ certChain, validFor: ALWAYS })),
    // Those of a certificate are verified where it has some; private authorities need have none.
    ctlogs,
    ctlogThreshold: 0,
  };
  return {
    anchors: chains.length === 0 ? anchors : [...anchors, own],
    tlogs: roots.flatMap((root) => root.tlogs),
    timestampAuthorities: roots.flatMap((root) => root.timestampAuthorities),
    publicKeys: material.publicKeys.map((pem, index) => readPemKey(pem, `publicKeys[${index}]`)),
    transparencyLogThreshold,
    timestampThreshold,
    signers: signers.map(({ subject, issuer }) => ({ subject, issuer })),
  };
}

const ALWAYS = { start: new Date(0), end: new Date(8.64e15) };

function readTrustedRoot(text: string, what: string): SigstoreTrust {
  const json = readJson(text, DEFAULT_LIMITS);
  if ("problem" in json) {
    throw trustError(what, "a trusted_root.json", `what is not JSON (${json.reason})`);
  }
  if (!isJsonObject(json.value)) {
    throw trustError(what, "a trusted_root.json", describe(json.value));
  }
  const { mediaType } = json.value;
  if (typeof mediaType !== "string" || !MEDIA_TYPE.test(mediaType)) {
    const expected = '"application/vnd.dev.sigstore.trustedroot+json;version=0.1"';
    throw trustError(`${what}.mediaType`, expected, describe(mediaType));
  }
  const root = parseTrustedRoot(json.value, what);
  checkCounts(root, what);
  checkTimes(root, what);
  try {
    return toTrustMaterial(root);
  } catch (cause) {
    throw unreadableRoot(what, cause);
  }
}

function parseTrustedRoot(value: object, what: string): TrustedRoot {
  try {
    return TrustedRoot.fromJSON(value);
  } catch (cause) {
    throw unreadableRoot(what, cause);
  }
}

// The libraries name the field or the encoding at fault; keys and certificates are no secrets.
function unreadableRoot(what: string, cause: unknown) {
  const why = cause instanceof Error ? cause.message.slice(0, 200) : "an unknown fault";
  return trustError(what, "authorities and logs whose keys and certificates can be read", why);
}

function checkCounts(root: TrustedRoot, what: string): void {
  for (const kind of ["tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities"] as const) {
    if (root[kind].length > MOST_AUTHORITIES) {
      throw trustError(`${what}.${kind}`, `at most ${MOST_AUTHORITIES}`, String(root[kind].length));
    }
  }
  const { tlogs, certificateAuthorities, timestampAuthorities } = root;
  if (tlogs.length + certificateAuthorities.length + timestampAuthorities.length === 0) {
    throw trustError(what, "at least one authority or log", "none");
  }
  for (const { certChain } of [...certificateAuthorities, ...timestampAuthorities]) {
    const count = certChain?.certificates.length ?? 0;
    if (count === 0 || count > MOST_CERTIFICATES) {
      throw trustError(`${what}: certChain`, `1 to ${MOST_CERTIFICATES} certificates`, String(count));
    }
  }
}

// The times of a key or authority may be left out; a range without its start is a mistake, and would hold since ever.
function checkTimes({ tlogs, ctlogs, certificateAuthorities, timestampAuthorities }: TrustedRoot, what: string): void {
  const ranges = [
    ...[...tlogs, ...ctlogs].map(({ publicKey }) => publicKey?.validFor),
    ...[...certificateAuthorities, ...timestampAuthorities].map(({ validFor }) => validFor),
  ];
  if (ranges.some((range) => range !== undefined && range.start === undefined)) {
    throw trustError(`${what}: validFor`, "a start", "none");
  }
}

function checkThreshold(what: string, threshold: number): void {
  if (!Number.isSafeInteger(threshold) || threshold < 0) {
    throw mismatch("TRUST_MATERIAL_INVALID", what, "a whole number from 0 on", String(threshold));
  }
}
