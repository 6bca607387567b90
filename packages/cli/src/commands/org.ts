import {
  type Organization,
  OrganizationSchema,
  OrganizationServiceListResponseSchema,
  type Retention,
  StorageMode,
  StorageModeSchema,
  type VerificationMode,
  VerificationModeSchema,
} from "@attestry/api/run";
import { create } from "@bufbuild/protobuf";
import { type Command, Option } from "commander";
import { type Context, withContext } from "../context.ts";
import { keepWords } from "../keep-time.ts";
import { timeCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import type { Column } from "../output/output.ts";
import { enumValue, enumWord, enumWords, plain } from "../output/plain.ts";
import { addPageOptions, fetchPages, noteMore, type PageOptions } from "../paging.ts";
import { addOrgUpdate } from "./org-update.ts";

/** In JSON output, for the help. */
export const organizationFields =
  'id, name, createdAt, storageMode (null: not overridden), attestationRetention and materialRetention: {atLeast, atMost} (seconds as "60s"; null: no bound), verificationMode, trustRevision (0: no trust policy), blockOnPolicyViolation';

export function addOrgCommand(program: Command): void {
  const org = program
    .command("org")
    .description("organizations: each has its own workflows, runs, backends and tokens");
  addCreate(org);
  addGet(org);
  addList(org);
  addOrgUpdate(org);
}

function addCreate(org: Command): void {
  const command = org
    .command("create")
    .description("Create an organization. Needs the token of an instance admin.")
    .argument("<name>", "lower-case letters, digits and '-'")
    .addOption(storageModeOption().default("default"))
    .addOption(verificationOption().default("signature"))
    .action((name: string, options: { storageMode: string; verification: string }, self: Command) =>
      withContext(self, async (context) => {
        const { storageMode, verification } = options;
        const request = {
          ...{ name, storageMode: storageModeOf(storageMode) },
          ...verificationOf(verification),
        };
        const answer = await context.caller.once((call) => context.services.organizations.create(request, call));
        await printOrganization(context, answer.organization);
      }),
    );
  addExamples(addOutputOption(command, `{${organizationFields}}`), "attestry org create acme --storage-mode spool");
}

function addList(org: Command): void {
  const command = org
    .command("list")
    .description("List the organizations that the token may see: all for an instance admin, else its own.")
    .action((options: PageOptions, self: Command) =>
      withContext(self, async (context) => {
        const { items, nextPageToken } = await fetchPages(
          context,
          options,
          (page, call) => context.services.organizations.list(page, call),
          (page) => page.organizations,
        );
        const answer = create(OrganizationServiceListResponseSchema, { organizations: items, nextPageToken });
        await context.printList(
          plain(OrganizationServiceListResponseSchema, answer),
          columns,
          items,
          "no organizations",
        );
        await noteMore(context, nextPageToken);
      }),
    );
  addPageOptions(command);
  addExamples(
    addOutputOption(command, `{organizations: [{${organizationFields}}], nextPageToken}`),
    "attestry org list -o json",
  );
}

function addGet(org: Command): void {
  const command = org
    .command("get")
    .description("Show an organization and its settings.")
    .argument("[name]", "the organization; the token's own if left out")
    .action((name: string | undefined, _options: unknown, self: Command) =>
      withContext(self, async (context) => {
        const request = { name: name ?? "" };
        const answer = await context.caller.repeatable((call) => context.services.organizations.get(request, call));
        await printOrganization(context, answer.organization);
      }),
    );
  addExamples(addOutputOption(command, `{${organizationFields}}`), "attestry org get");
}

const columns: Column<Organization>[] = [
  { head: "name", cell: ({ name }) => name },
  { head: "storage mode", cell: ({ storageMode }) => modeWord(storageMode) },
  { head: "verification", cell: ({ verificationMode }) => enumWord(VerificationModeSchema, verificationMode) },
  { head: "attestations kept", cell: ({ attestationRetention }) => keptCell(attestationRetention) },
  { head: "materials kept", cell: ({ materialRetention }) => keptCell(materialRetention) },
  { head: "created", cell: ({ createdAt }) => timeCell(createdAt) },
  { head: "id", cell: ({ id }) => id },
];

function keptCell(retention: Retention | undefined): string {
  return keepWords(Number(retention?.atLeast?.seconds ?? 0n), Number(retention?.atMost?.seconds ?? 0n));
}

export async function printOrganization(context: Context, organization: Organization | undefined): Promise<void> {
  const shown = organization ?? create(OrganizationSchema);
  await context.printObject(plain(OrganizationSchema, shown), {
    name: shown.name,
    id: shown.id,
    "storage mode": modeWord(shown.storageMode),
    verification: enumWord(VerificationModeSchema, shown.verificationMode),
    "trust revision": shown.trustRevision || null,
    "block on policy violation": shown.blockOnPolicyViolation,
    "attestations kept": keptCell(shown.attestationRetention),
    "materials kept": keptCell(shown.materialRetention),
    created: timeCell(shown.createdAt),
  });
}

export function storageModeOption(): Option {
  return new Option(
    "--storage-mode <mode>",
    "where bundles are kept when the backend is external; default: as the server is set",
  ).choices(["default", ...enumWords(StorageModeSchema)]);
}

export function storageModeOf(word: string): StorageMode {
  return enumValue<StorageMode>(StorageModeSchema, word) ?? StorageMode.UNSPECIFIED;
}

export function verificationOption(): Option {
  return new Option(
    "--verification <mode>",
    "what is asked of signatures before a bundle is stored; trusted needs a policy (attestry trust set)",
  ).choices(enumWords(VerificationModeSchema));
}

/** The field of a request; none if the option is left out. */
export function verificationOf(word: string | undefined): { verificationMode?: VerificationMode } {
  const verificationMode = word === undefined ? undefined : enumValue<VerificationMode>(VerificationModeSchema, word);
  return verificationMode === undefined ? {} : { verificationMode };
}

function modeWord(mode: StorageMode): string {
  return enumWord(StorageModeSchema, mode) ?? "default";
}
