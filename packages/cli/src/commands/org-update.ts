import type { Retention } from "@attestry/api/run";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { DurationSchema } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { type Context, withContext } from "../context.ts";
import { UsageError } from "../errors.ts";
import { keepTime } from "../keep-time.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import { organizationFields, printOrganization, storageModeOf, storageModeOption } from "./org.ts";

interface UpdateOptions {
  storageMode?: string;
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
    .option("--keep-attestations-at-least <time>", "90d, 7y (s, m, h, d, w, y); none: no promise", keepTime)
    .option("--keep-attestations-at-most <time>", "after that they are deleted; forever: never", keepTime)
    .option("--keep-materials-at-least <time>", "the same of the blobs that clients upload", keepTime)
    .option("--keep-materials-at-most <time>", "the same of the blobs that clients upload", keepTime)
    .action((name: string | undefined, options: UpdateOptions, self: Command) =>
      withContext(self, async (context) => {
        const request = await updateOf(context, name ?? "", options);
        const answer = await context.caller.repeatable((call) => context.services.organizations.update(request, call));
        await printOrganization(context, answer.organization);
      }),
    );
  addExamples(
    addOutputOption(command, `{${organizationFields}}`),
    "attestry org update --storage-mode cas",
    "attestry org update --keep-attestations-at-least 90d --keep-attestations-at-most 7y",
    "attestry org update acme --keep-materials-at-most forever",
  );
}

async function updateOf(context: Context, name: string, options: UpdateOptions) {
  const { storageMode } = options;
  const attestations = { atLeast: options.keepAttestationsAtLeast, atMost: options.keepAttestationsAtMost };
  const materials = { atLeast: options.keepMaterialsAtLeast, atMost: options.keepMaterialsAtMost };
  const all = [storageMode, ...Object.values(attestations), ...Object.values(materials)];
  if (all.every((option) => option === undefined))
    throw new UsageError("give at least one setting to change: --storage-mode, or one of --keep-...");
  // The request sets both bounds of a kind: one that is not given is what it is now.
  const present = [attestations, materials].some(isHalf)
    ? (await context.caller.repeatable((call) => context.services.organizations.get({ name }, call))).organization
    : undefined;
  return {
    name,
    ...(storageMode !== undefined && { storageMode: storageModeOf(storageMode) }),
    ...(isGiven(attestations) && { attestationRetention: boundsOf(attestations, present?.attestationRetention) }),
    ...(isGiven(materials) && { materialRetention: boundsOf(materials, present?.materialRetention) }),
  };
}

interface Asked {
  atLeast: number | undefined;
  atMost: number | undefined;
}

function isGiven({ atLeast, atMost }: Asked): boolean {
  return atLeast !== undefined || atMost !== undefined;
}

function isHalf(asked: Asked): boolean {
  return isGiven(asked) && (asked.atLeast === undefined || asked.atMost === undefined);
}

function boundsOf({ atLeast, atMost }: Asked, present: Retention | undefined) {
  return {
    ...boundOf("atLeast", atLeast ?? Number(present?.atLeast?.seconds ?? 0n)),
    ...boundOf("atMost", atMost ?? Number(present?.atMost?.seconds ?? 0n)),
  };
}

function boundOf(
  key: "atLeast" | "atMost",
  seconds: number,
): { [P in typeof key]?: MessageInitShape<typeof DurationSchema> } {
  return seconds === 0 ? {} : { [key]: { seconds: BigInt(seconds) } };
}
