import { type Digest, digestOf, type ParsedBundle, parseBundle, type TrustedSigner } from "@attestry/bundle";
import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { carriedSigner, trustedSigner } from "./bundle-signer.ts";
import { CommandError, leaveOutHint, UsageError } from "./errors.ts";
import { readBundle } from "./files/read-bundle.ts";
import { isTrustGiven, type TrustOptions, type TrustTexts, trustPolicyOf } from "./trust-options.ts";

export interface FileOptions extends TrustOptions {
  at?: Timestamp;
}

/** What checking a bundle in a file came to. */
export interface VerifiedFile {
  digest: Digest;
  statement: ParsedBundle["statement"];
  signer: Pick<TrustedSigner, "signer" | "issuer">;
  /** Undefined: nobody to trust was named, so only the signature was checked. */
  trust: { at: Date; integratedAt: Date | undefined } | undefined;
}

/**
 * Checks a bundle in a file, here and without a server. Throws BundleError if it does not verify, CommandError
 * SIGNATURE_NOT_CHECKED and those of readBundle, UsageError.
 */
export async function verifyFile(file: string, options: FileOptions): Promise<VerifiedFile> {
  const policy = isTrustGiven(options) ? await trustPolicyOf(options) : undefined;
  if (policy === undefined && options.at !== undefined) {
    throw new UsageError("--at goes with --trusted-root or --ca: a signature alone has no time");
  }
  const bytes = await readBundle(file);
  const bundle = parseBundle(bytes);
  const { statement } = bundle;
  const digest = digestOf(bytes);
  if (policy === undefined) {
    return { digest, statement, signer: carriedSigner(bundle, notChecked), trust: undefined };
  }
  const at = options.at === undefined ? new Date() : timestampDate(options.at);
  const signer = signerByOptions(bundle, policy, at);
  return { digest, statement, signer, trust: { at, integratedAt: signer.integratedAt } };
}

function notChecked(): CommandError {
  const message = "expected a bundle with a certificate to check its signature by, got one that carries no key";
  return new CommandError("SIGNATURE_NOT_CHECKED", message);
}

function signerByOptions(bundle: ParsedBundle, policy: TrustTexts, at: Date): TrustedSigner {
  try {
    return trustedSigner(bundle, policy, at);
  } catch (error) {
    // It would speak of an organization's policy, and whom to trust stands on the command line.
    leaveOutHint(error);
    throw error;
  }
}
