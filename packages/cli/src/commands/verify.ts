import { checkSignature, digestOf, parseBundle, parseTrustPolicy, verifyTrusted } from "@attestry/bundle";
import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { time } from "../arguments.ts";
import { CommandError, UsageError } from "../errors.ts";
import { readBundle } from "../files/read-bundle.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import { fieldsText, jsonText } from "../output/output.ts";
import { write } from "../output/write.ts";
import { addTrustOptions, isTrustGiven, type TrustOptions, trustPolicyOf } from "../trust-options.ts";

interface VerifyOptions extends TrustOptions {
  at?: Timestamp;
  output: string;
}

/** What is known of a bundle once it is verified. */
interface Verified {
  digest: string;
  check: "signature" | "trusted";
  /** Empty: the certificate names none, or a bare key is what is trusted. */
  signer: string;
  issuer: string;
  integratedAt?: string;
  /** What certificates were judged at, unless a log or timestamp authority signed a time. */
  at?: string;
  predicateType: string;
  subjects: { name: string; uri: string; digests: Record<string, string> }[];
}

export function addVerifyCommand(program: Command): void {
  const command = program
    .command("verify")
    .summary("verify the signature of a bundle, without a server")
    .description(
      "Verify a bundle in a file. By itself: that its signatures are by the certificate that it carries, whoever that " +
        "is. With --trusted-root, --ca or --key: that the signer is one of those, as the thresholds and patterns ask. " +
        "Calls no server. What is not verified ends with exit code 1; docs/verification.md says what each proves.",
    )
    .argument("<file>", "the bundle: a Sigstore bundle or a bare DSSE envelope, as JSON; - for stdin");
  addTrustOptions(command)
    .option("--at <time>", "when the bundle was received: judge certificates then (default: now)", time)
    .action((file: string, options: VerifyOptions) => verify(file, options));
  addExamples(
    addOutputOption(
      command,
      "{digest, check: signature | trusted, signer, issuer, integratedAt, at, predicateType, subjects: [{name, uri, digests}]}",
    ),
    "attestry verify bundle.json",
    "attestry verify bundle.json --ca ca.pem --at 2026-11-23T23:15:00Z",
    "attestry verify bundle.json --trusted-root trusted_root.json --log-threshold 1 --signer 'https://github.com/acme/*'",
  );
}

async function verify(file: string, options: VerifyOptions): Promise<void> {
  const verified = await verifyBytes(await readBundle(file), options);
  const { subjects, digest, check, signer, issuer, integratedAt, at, predicateType } = verified;
  const fields = {
    ...{ digest, verified: check, signer, issuer },
    ...(check === "trusted" && { "in a log since": integratedAt, "as of": at }),
    ...{ "predicate type": predicateType, subjects: subjects.length },
  };
  await write(process.stdout, options.output === "json" ? jsonText(verified) : fieldsText(fields));
}

/** Throws BundleError for what is not verified, CommandError SIGNATURE_NOT_CHECKED, UsageError. */
async function verifyBytes(bytes: Uint8Array, options: VerifyOptions): Promise<Verified> {
  const policy = isTrustGiven(options) ? await trustPolicyOf(options) : undefined;
  if (policy === undefined && options.at !== undefined) {
    throw new UsageError("--at goes with --trusted-root or --ca: a signature alone has no time");
  }
  const bundle = parseBundle(bytes);
  const { predicateType, subjects } = bundle.statement;
  const digest = digestOf(bytes);
  if (policy === undefined) {
    const found = checkSignature(bundle);
    if (found.status === "not_checked") {
      const message = "expected a bundle with a certificate to check its signature by, got one that carries no key";
      throw new CommandError("SIGNATURE_NOT_CHECKED", message);
    }
    return { digest, check: "signature", signer: found.signer, issuer: found.issuer, predicateType, subjects };
  }
  const { trustedRoots, certificateAuthorities, publicKeys, ...rest } = policy;
  const trust = parseTrustPolicy({ material: { trustedRoots, certificateAuthorities, publicKeys }, ...rest });
  const at = options.at === undefined ? new Date() : timestampDate(options.at);
  const { signer, issuer, integratedAt } = verifyTrusted(bundle, trust, at);
  const times = { ...(integratedAt && { integratedAt: integratedAt.toISOString() }), at: at.toISOString() };
  return { digest, check: "trusted", signer, issuer, ...times, predicateType, subjects };
}
