import type { Attestation } from "@attestry/api/ingest";
import { parseBundle, type TrustedSigner } from "@attestry/bundle";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { DigestOrRun } from "./arguments.ts";
import { carriedSigner, trustedSigner } from "./bundle-signer.ts";
import { openDownload } from "./client/download.ts";
import type { Context } from "./context.ts";
import { CommandError, reasonOf } from "./errors.ts";
import { readVerified } from "./files/write-verified.ts";
import type { TrustTexts } from "./trust-options.ts";

/** What checking an attestation anew came to. */
export interface VerifiedStored {
  attestation: Attestation;
  signer: Pick<TrustedSigner, "signer" | "issuer">;
  /** Undefined: the organization has no trust policy, so only the signature was checked. */
  trust: { revision: number; at: Date; integratedAt: Date | undefined } | undefined;
}

/**
 * Checks a stored attestation anew, here, by the organization's trust policy of today: judged now, or at the moment it was
 * received. Throws BundleError if it does not verify, CommandError SIGNATURE_NOT_CHECKED if there is nothing to verify it by.
 */
export async function verifyStored(context: Context, by: DigestOrRun, atReceipt: boolean): Promise<VerifiedStored> {
  const { attestation, bytes } = await context.caller.repeatable(async (call) => {
    const { attestation, chunks } = await openDownload(context, by, call);
    const expected = { digest: attestation.digest, sizeBytes: Number(attestation.sizeBytes) };
    return { attestation, bytes: await readVerified(expected, chunks) };
  });
  const bundle = parseBundle(bytes);
  const present = await presentTrust(context);
  if (present === undefined) return { attestation, signer: carriedSigner(bundle, notChecked), trust: undefined };
  const { receivedAt } = attestation;
  const at = atReceipt && receivedAt !== undefined ? timestampDate(receivedAt) : new Date();
  const { integratedAt, ...signer } = trustedSigner(bundle, present.policy, at);
  return { attestation, signer, trust: { revision: present.revision, at, integratedAt } };
}

function notChecked(): CommandError {
  return new CommandError(
    "SIGNATURE_NOT_CHECKED",
    "the bundle carries no key to check its signature by, and the organization trusts none: attestry trust set --key FILE",
    { hint: "none" },
  );
}

/** Undefined: none was set. */
async function presentTrust(context: Context): Promise<{ policy: TrustTexts; revision: number } | undefined> {
  try {
    const { policy, revision } = await context.caller.repeatable((call) => context.services.trust.get({}, call));
    if (policy === undefined) throw new Error("the answer has no trust policy");
    return { policy, revision };
  } catch (error) {
    if (reasonOf(error) === "TRUST_NOT_FOUND") return undefined;
    throw error;
  }
}
