import { readFile } from "node:fs/promises";
import { type Command, InvalidArgumentError } from "commander";
import { UsageError } from "./errors.ts";
import { unreadable } from "./files/file-errors.ts";

/** Files and bounds that say whom to trust; undefined: not given. */
export interface TrustOptions {
  trustedRoot?: string[];
  ca?: string[];
  key?: string[];
  signer?: string[];
  issuer?: string[];
  logThreshold?: number;
  timestampThreshold?: number;
}

/** A trust policy as requests have it. */
export interface TrustTexts {
  trustedRoots: string[];
  certificateAuthorities: string[];
  publicKeys: string[];
  transparencyLogThreshold: number;
  timestampThreshold: number;
  signers: { subject: string; issuer: string }[];
}

export function addTrustOptions(command: Command): Command {
  return command
    .option("--trusted-root <file>", "a Sigstore trusted_root.json; may be given several times", collect)
    .option("--ca <file>", "certificates of a private CA in PEM, up to its root; several times", collect)
    .option("--key <file>", "a public key in PEM; several times", collect)
    .option(
      "--signer <pattern>",
      "email or URI that the certificate must name, * for any characters; several times: any one of them",
      collectPattern,
    )
    .option(
      "--issuer <pattern>",
      "OIDC issuer that the certificate must name: one for all signers, or one for each in the same order",
      collectPattern,
    )
    .option("--log-threshold <n>", "entries of trusted transparency logs that are needed (default: 0)", threshold)
    .option(
      "--timestamp-threshold <n>",
      "times signed by trusted timestamp authorities or logs that are needed (default: 0)",
      threshold,
    );
}

/** Whether any of the options is there, be it one that needs others. */
export function isTrustGiven(options: TrustOptions): boolean {
  const { trustedRoot, ca, key, signer, issuer, logThreshold, timestampThreshold } = options;
  return [trustedRoot, ca, key, signer, issuer, logThreshold, timestampThreshold].some((given) => given !== undefined);
}

/** The policy that the options describe, with the texts of the files. Throws UsageError, CommandError FILE_UNREADABLE. */
export async function trustPolicyOf(options: TrustOptions): Promise<TrustTexts> {
  const { trustedRoot = [], ca = [], key = [], logThreshold = 0, timestampThreshold = 0 } = options;
  if (trustedRoot.length + ca.length + key.length === 0)
    throw new UsageError("give at least one of --trusted-root, --ca and --key");
  const signers = signersOf(options);
  return {
    trustedRoots: await Promise.all(trustedRoot.map(readText)),
    certificateAuthorities: await Promise.all(ca.map(readText)),
    publicKeys: await Promise.all(key.map(readText)),
    transparencyLogThreshold: logThreshold,
    timestampThreshold,
    signers,
  };
}

/** Issuers go with the signers of the same place; a single one with all. */
function signersOf({ signer: subjects = [], issuer: issuers = [] }: TrustOptions) {
  if (subjects.length === 0) return issuers.map((issuer) => ({ subject: "*", issuer }));
  if (issuers.length > 1 && issuers.length !== subjects.length)
    throw new UsageError(
      `give --issuer once for all signers, or once for each; came ${issuers.length} for ${subjects.length} signers`,
    );
  return subjects.map((subject, index) => ({ subject, issuer: issuers[index] ?? issuers[0] ?? "*" }));
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

function collect(text: string, before: string[] = []): string[] {
  return [...before, text];
}

/** A variable that was not set must not let everybody in. */
function collectPattern(text: string, before?: string[]): string[] {
  if (text.trim() === "") throw new InvalidArgumentError("Expected a pattern; * lets any through.");
  return collect(text, before);
}

function threshold(text: string): number {
  if (!/^\d{1,2}$/.test(text)) throw new InvalidArgumentError("Expected a whole number from 0 on.");
  return Number(text);
}
