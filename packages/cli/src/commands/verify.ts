import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { storedName, time } from "../arguments.ts";
import { type Context, transferTimeoutMs, withContext } from "../context.ts";
import { UsageError } from "../errors.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import { addTrustOptions, isTrustGiven, type TrustOptions } from "../trust-options.ts";
import { type VerifiedFile, verifyFile } from "../verify-file.ts";
import { type VerifiedStored, verifyStored } from "../verify-stored.ts";

interface VerifyOptions extends TrustOptions {
  at?: Timestamp;
  atReceipt: boolean;
}

export function addVerifyCommand(program: Command): void {
  const command = program
    .command("verify")
    .summary("verify a bundle in a file, or an attestation that is stored")
    .description(
      "Verify a bundle, on this machine. One in a file, without a server: that its signatures are by the certificate " +
        "that it carries, whoever that is; with --trusted-root, --ca or --key that the signer is one of those, as " +
        "thresholds and patterns ask. A stored one: by the organization's trust policy of today, whatever its mode; " +
        "without a policy, by the certificate that it carries. A certificate that no log or timestamp authority saw is " +
        "judged now, when most have run out, or at --at or --at-receipt. What does not verify ends with exit code 1; " +
        "docs/verification.md says what is proven.",
    )
    .argument("<file|digest|run>", "a file (- for stdin), the digest of a stored bundle, or the id of its run");
  addTrustOptions(command)
    .option("--at <time>", "of a file: when it was received, to judge certificates then (default: now)", time)
    .option("--at-receipt", "of a stored one: judge certificates at the moment it was received", false)
    .action((target: string, options: VerifyOptions, self: Command) =>
      withContext(self, (context) => verify(context, target, options), transferTimeoutMs),
    );
  addExamples(
    addOutputOption(
      command,
      'of a file {digest, status: "verified", check: signature | trusted, at, signer, issuer, integratedAt, predicateType, subjects: [{name, uri, digests}]}; ' +
        'of a stored one {digest, runId, status: "verified", check: signature | trusted, trustRevision (0: no policy), at, signer, issuer, integratedAt}',
    ),
    "attestry verify bundle.json",
    "attestry verify bundle.json --ca ca.pem --at 2026-11-23T23:15:00Z",
    "attestry verify bundle.json --trusted-root trusted_root.json --log-threshold 1 --signer 'https://github.com/acme/*'",
    "attestry verify sha256:6d1e... --at-receipt",
  );
}

/** Throws UsageError for options of the other kind. */
async function verify(context: Context, target: string, options: VerifyOptions): Promise<void> {
  const stored = storedName(target);
  if (stored === undefined) {
    if (options.atReceipt) throw new UsageError("--at-receipt goes with a digest or run; for a file give --at TIME");
    return printFile(context, await verifyFile(target, options));
  }
  if (isTrustGiven(options) || options.at !== undefined)
    throw new UsageError("what is stored is verified by the organization's policy; give a file to name others");
  return printStored(context, await verifyStored(context, stored, options.atReceipt));
}

function printFile(context: Context, { digest, statement, signer, trust }: VerifiedFile): Promise<void> {
  const json = {
    digest,
    status: "verified",
    check: trust === undefined ? "signature" : "trusted",
    at: trust?.at.toISOString() ?? null,
    signer: signer.signer,
    issuer: signer.issuer,
    integratedAt: trust?.integratedAt?.toISOString() ?? null,
    predicateType: statement.predicateType,
    subjects: statement.subjects,
  };
  return context.printObject(json, {
    digest,
    verification: `verified (${json.check})`,
    ...(trust !== undefined && { "as of": json.at }),
    signer: json.signer,
    issuer: json.issuer,
    ...(trust !== undefined && { "in a log since": json.integratedAt }),
    "predicate type": json.predicateType,
    subjects: json.subjects.length,
  });
}

function printStored(context: Context, { attestation, trust, signer }: VerifiedStored): Promise<void> {
  const json = {
    digest: attestation.digest,
    runId: attestation.runId,
    status: "verified",
    check: trust === undefined ? "signature" : "trusted",
    trustRevision: trust?.revision ?? 0,
    at: trust?.at.toISOString() ?? null,
    signer: signer.signer,
    issuer: signer.issuer,
    integratedAt: trust?.integratedAt?.toISOString() ?? null,
  };
  return context.printObject(json, {
    digest: json.digest,
    run: json.runId,
    verification: `verified (${json.check})`,
    "trust revision": trust?.revision,
    "as of": json.at,
    signer: json.signer,
    issuer: json.issuer,
    "in a log since": json.integratedAt,
  });
}
