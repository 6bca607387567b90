import type { Command } from "commander";
import { type DigestOrRun, digestOrRun } from "../arguments.ts";
import { type Context, transferTimeoutMs, withContext } from "../context.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import { type VerifiedStored, verifyStored } from "../verify-stored.ts";

export function addVerifyCommand(program: Command): void {
  const command = program
    .command("verify")
    .summary("check the signature of an attestation again")
    .description(
      "Check a stored attestation again, on this machine: by the organization's trust policy of today, whatever its verification mode; without a policy, the signature by the key that the bundle carries. Certificates without a timestamp or log entry are judged now, when most have run out.",
    )
    .argument("<digest|run>", "digest of the bundle, or id of the run", digestOrRun)
    .option("--at-receipt", "judge at the moment when the attestation was received", false)
    .action((by: DigestOrRun, options: { atReceipt: boolean }, self: Command) =>
      withContext(
        self,
        async (context) => printVerified(context, await verifyStored(context, by, options.atReceipt)),
        transferTimeoutMs,
      ),
    );
  addExamples(
    addOutputOption(
      command,
      '{digest, runId, status: "verified" or "not-checked", reason ("no-key"; null: checked), trustRevision (0: no policy), at, signer, issuer, integratedAt}',
    ),
    "attestry verify sha256:6d1e... --at-receipt",
  );
}

function printVerified(context: Context, { attestation, trust, signature }: VerifiedStored): Promise<void> {
  const checked = trust !== undefined || signature.status === "verified";
  const signer = trust?.signer ?? (signature.status === "verified" ? signature : undefined);
  const integratedAt = trust?.signer.integratedAt?.toISOString() ?? null;
  const at = trust?.at.toISOString() ?? null;
  const json = {
    digest: attestation.digest,
    runId: attestation.runId,
    status: checked ? "verified" : "not-checked",
    reason: checked ? null : "no-key",
    trustRevision: trust?.revision ?? 0,
    at,
    signer: signer?.signer ?? "",
    issuer: signer?.issuer ?? "",
    integratedAt,
  };
  return context.printObject(json, {
    digest: json.digest,
    run: json.runId,
    verification: checked ? `verified (${trust === undefined ? "signature" : "trusted"})` : "not checked: no key",
    "trust revision": trust?.revision,
    "judged at": at,
    signer: json.signer,
    issuer: json.issuer,
    "in a log since": integratedAt,
  });
}
