import { type Command, Option } from "commander";
import { withContext } from "../context.ts";
import { UsageError } from "../errors.ts";
import { keepTime, timeWords } from "../keep-time.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import {
  organizationFields,
  printOrganization,
  storageModeOf,
  storageModeOption,
  verificationOf,
  verificationOption,
} from "./org.ts";

interface UpdateOptions {
  storageMode?: string;
  verification?: string;
  blockOnPolicyViolation?: "on" | "off";
  /** In seconds, 0 for no bound, as the rest. */
  keepAttestationsAtLeast?: number;
  keepAttestationsAtMost?: number;
  keepMaterialsAtLeast?: number;
  keepMaterialsAtMost?: number;
}

export function addOrgUpdate(org: Command): void {
  const command = org
    .command("update")
    .description(
      "Change settings of an organization: those that are given. What is kept at least so long, no call can delete sooner; what is older than at most is hidden and, after a grace, deleted for good.",
    )
    .argument("[name]", "the organization; the token's own if left out")
    .addOption(storageModeOption())
    .addOption(verificationOption())
    .addOption(
      new Option(
        "--block-on-policy-violation <on|off>",
        "whether clients that evaluate policies are to end a run that violates one; of runs that begin from now on",
      ).choices(["on", "off"]),
    )
    .option("--keep-attestations-at-least <time>", "90d, 7y (s, m, h, d, w, y); none: no promise", keepTime)
    .option("--keep-attestations-at-most <time>", "after that they are deleted; forever: never", keepTime)
    .option("--keep-materials-at-least <time>", "the same of the blobs that clients upload", keepTime)
    .option("--keep-materials-at-most <time>", "the same of the blobs that clients upload", keepTime)
    .action((name: string | undefined, options: UpdateOptions, self: Command) =>
      withContext(self, async (context) => {
        const request = updateOf(name ?? "", options);
        const answer = await context.caller.repeatable((call) => context.services.organizations.update(request, call));
        await printOrganization(context, answer.organization);
        for (const note of notesOf(options)) await context.note(note);
      }),
    );
  addExamples(
    addOutputOption(command, `{${organizationFields}}`),
    "attestry org update --storage-mode cas",
    "attestry org update --verification trusted",
    "attestry org update --block-on-policy-violation on",
    "attestry org update --keep-attestations-at-least 90d --keep-attestations-at-most 7y",
    "attestry org update acme --keep-materials-at-most forever",
  );
}

/** What begins by itself where at most is set. The times are those of servers that were not told others. */
function notesOf({ keepAttestationsAtMost, keepMaterialsAtMost }: UpdateOptions): string[] {
  const kinds = Object.entries({ attestations: keepAttestationsAtMost, materials: keepMaterialsAtMost });
  return kinds.flatMap(([kind, seconds]) =>
    seconds === undefined || seconds === 0
      ? []
      : [
          `${kind} older than ${timeWords(seconds)} are hidden at the next look (within 1 h), and deleted after the grace (7 d); until then a higher bound brings them back at the next look`,
        ],
  );
}

function updateOf(name: string, options: UpdateOptions) {
  const { storageMode, verification, blockOnPolicyViolation } = options;
  const attestationRetention = boundsOf(options.keepAttestationsAtLeast, options.keepAttestationsAtMost);
  const materialRetention = boundsOf(options.keepMaterialsAtLeast, options.keepMaterialsAtMost);
  const settings = [storageMode, verification, blockOnPolicyViolation, attestationRetention, materialRetention];
  if (settings.every((setting) => setting === undefined))
    throw new UsageError(
      "give at least one setting to change: --storage-mode, --verification, --block-on-policy-violation, or one of --keep-...",
    );
  return {
    name,
    ...(storageMode !== undefined && { storageMode: storageModeOf(storageMode) }),
    ...verificationOf(verification),
    ...(blockOnPolicyViolation && { blockOnPolicyViolation: blockOnPolicyViolation === "on" }),
    ...(attestationRetention && { attestationRetention }),
    ...(materialRetention && { materialRetention }),
  };
}

/** Those that are given, 0 for none; undefined: neither is. */
function boundsOf(atLeast: number | undefined, atMost: number | undefined) {
  if (atLeast === undefined && atMost === undefined) return undefined;
  return {
    ...(atLeast !== undefined && { atLeast: { seconds: BigInt(atLeast) } }),
    ...(atMost !== undefined && { atMost: { seconds: BigInt(atMost) } }),
  };
}
