import {
  type Backend,
  type BackendProvider,
  BackendProviderSchema,
  BackendSchema,
  BackendServiceListResponseSchema,
  BackendStatus,
  BackendStatusSchema,
} from "@attestry/api/run";
import { create } from "@bufbuild/protobuf";
import { type Command, Option } from "commander";
import { byteSize, keyPrefix, secretRef } from "../arguments.ts";
import { type Context, withContext } from "../context.ts";
import { CommandError, UsageError } from "../errors.ts";
import { bytesCell, timeCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import type { Column } from "../output/output.ts";
import { enumValue, enumWord, enumWords, plain } from "../output/plain.ts";
import { addBackendMigrate } from "./backend-migrate.ts";
import { addBackendScrub } from "./backend-scrub.ts";

const fields =
  "id, name, provider, secretRef, prefix, isDefault, maxBytes, status (null: not validated), validatedAt, validationError, createdAt, validationNotes";

export function addBackendCommand(program: Command): void {
  const backend = program
    .command("backend")
    .description("CAS backends: where the organization keeps what it stores; new runs take the default one");
  addAdd(backend);
  addList(backend);
  addUpdate(backend);
  addDelete(backend);
  addValidate(backend);
  addDefault(backend);
  addBackendMigrate(backend);
  addBackendScrub(backend);
}

interface AddOptions {
  provider: string;
  secretRef: string;
  prefix: string;
  maxBytes?: bigint;
  default?: boolean;
}

function addAdd(backend: Command): void {
  const command = backend
    .command("add")
    .description(
      "Register a backend and validate it. It is kept when the validation fails, but the command exits with 1 then.",
    )
    .argument("<name>", "lower-case letters, digits and '-'")
    .addOption(
      new Option("--provider <provider>", "what it is").choices(enumWords(BackendProviderSchema)).makeOptionMandatory(),
    )
    .option(
      "--secret-ref <ref>",
      "NAME of a secret file of the organization, or _shared/NAME, as mounted for the gateway",
      secretRef,
      "",
    )
    .option("--prefix <prefix>", "before every key, after the organization's own", keyPrefix, "")
    .option("--max-bytes <bytes>", "bound of one blob: 500KB, 1GB (default: inline 500KiB, others 10MiB)", byteSize)
    .option("--default", "make it the default")
    .action((name: string, options: AddOptions, self: Command) =>
      withContext(self, async (context) => {
        checkSecretRef(options);
        const provider = enumValue<BackendProvider>(BackendProviderSchema, options.provider);
        const request = {
          name,
          ...(provider !== undefined && { provider }),
          secretRef: options.secretRef,
          prefix: options.prefix,
          isDefault: options.default ?? false,
          maxBytes: options.maxBytes ?? 0n,
        };
        const answer = await context.caller.once((call) => context.services.backends.create(request, call));
        await printBackend(context, answer.backend);
        demandValid(answer.backend);
      }),
    );
  addExamples(
    addOutputOption(command, `{${fields}}`),
    "attestry backend add archive --provider s3 --secret-ref archive --default",
    "attestry backend add folder --provider filesystem --secret-ref _shared/local --max-bytes 50MB",
  );
}

/** Throws UsageError where the provider and --secret-ref do not go together. */
function checkSecretRef({ provider, secretRef, prefix }: AddOptions): void {
  if (provider === "inline") {
    if (secretRef !== "" || prefix !== "")
      throw new UsageError("an inline backend has no --secret-ref and no --prefix");
  } else if (secretRef === "") {
    throw new UsageError(`--provider ${provider} needs --secret-ref NAME or --secret-ref _shared/NAME`);
  }
}

function addList(backend: Command): void {
  const command = backend
    .command("list")
    .description("List the backends of the organization.")
    .action((_options: unknown, self: Command) =>
      withContext(self, async (context) => {
        const answer = await context.caller.repeatable((call) => context.services.backends.list({}, call));
        await context.printList(
          plain(BackendServiceListResponseSchema, answer),
          columns,
          answer.backends,
          "no backends",
        );
      }),
    );
  addExamples(addOutputOption(command, `{backends: [{${fields}}]}`), "attestry backend list");
}

function addUpdate(backend: Command): void {
  const command = backend
    .command("update")
    .description("Change a backend. A new secret reference is validated.")
    .argument("<name>")
    .option("--secret-ref <ref>", "another secret file", secretRef)
    .option("--max-bytes <bytes>", "bound of one blob: 500KB, 1GB", byteSize)
    .action((name: string, options: { secretRef?: string; maxBytes?: bigint }, self: Command) =>
      withContext(self, async (context) => {
        if (options.secretRef === undefined && options.maxBytes === undefined) {
          throw new UsageError("nothing to change: give --secret-ref or --max-bytes");
        }
        await updateBackend(context, { name, ...options });
      }),
    );
  addExamples(addOutputOption(command, `{${fields}}`), "attestry backend update archive --max-bytes 100MB");
}

function addDelete(backend: Command): void {
  const command = backend
    .command("delete")
    .description("Remove a backend that nothing refers to. What is stored there is not touched.")
    .argument("<name>")
    .action((name: string, _options: unknown, self: Command) =>
      withContext(self, async (context) => {
        await context.caller.once((call) => context.services.backends.delete({ name }, call));
        await context.printObject({ name, deleted: true }, { name, deleted: true });
      }),
    );
  addExamples(addOutputOption(command, "{name, deleted: true}"), "attestry backend delete folder");
}

function addValidate(backend: Command): void {
  const command = backend
    .command("validate")
    .description("Write, read back and delete a probe now. Exits with 1 if the backend does not work.")
    .argument("<name>")
    .action((name: string, _options: unknown, self: Command) =>
      withContext(self, async (context) => {
        const answer = await context.caller.repeatable((call) => context.services.backends.validate({ name }, call));
        await printBackend(context, answer.backend);
        demandValid(answer.backend);
      }),
    );
  addExamples(addOutputOption(command, `{${fields}}`), "attestry backend validate archive");
}

function addDefault(backend: Command): void {
  const command = backend
    .command("default")
    .description("Make a backend the default: new runs take it. Runs that began before keep theirs.")
    .argument("<name>")
    .action((name: string, _options: unknown, self: Command) =>
      withContext(self, (context) => updateBackend(context, { name, isDefault: true })),
    );
  addExamples(addOutputOption(command, `{${fields}}`), "attestry backend default archive");
}

async function updateBackend(
  context: Context,
  change: { name: string; secretRef?: string; maxBytes?: bigint; isDefault?: true },
): Promise<void> {
  const answer = await context.caller.repeatable((call) => context.services.backends.update(change, call));
  await printBackend(context, answer.backend);
  if (change.secretRef !== undefined) demandValid(answer.backend);
}

const columns: Column<Backend>[] = [
  { head: "name", cell: ({ name, isDefault }) => `${name}${isDefault ? " (default)" : ""}` },
  { head: "provider", cell: ({ provider }) => enumWord(BackendProviderSchema, provider) },
  { head: "status", cell: ({ status, validationNotes }) => statusWord(status) + notesMark(validationNotes) },
  { head: "validated", cell: ({ validatedAt }) => timeCell(validatedAt) },
  { head: "max bytes", cell: ({ maxBytes }) => bytesCell(maxBytes) },
  { head: "secret", cell: ({ secretRef }) => secretRef },
  { head: "error", cell: ({ validationError }) => validationError },
];

async function printBackend(context: Context, backend: Backend | undefined): Promise<void> {
  const shown = backend ?? create(BackendSchema);
  await context.printObject(plain(BackendSchema, shown), {
    name: shown.name,
    provider: enumWord(BackendProviderSchema, shown.provider),
    default: shown.isDefault,
    secret: shown.secretRef,
    prefix: shown.prefix,
    "max bytes": bytesCell(shown.maxBytes),
    status: statusWord(shown.status),
    validated: timeCell(shown.validatedAt),
    error: shown.validationError,
    notes: shown.validationNotes.join("; "),
    id: shown.id,
  });
}

function demandValid(backend: Backend | undefined): void {
  if (backend?.status !== BackendStatus.INVALID) return;
  throw new CommandError("BACKEND_INVALID", `the backend ${backend.name} does not work: ${backend.validationError}`, {
    hint: "none",
  });
}

/** That there is more to read, in `-o json` and by `backend validate`. */
function notesMark(notes: readonly string[]): string {
  if (notes.length === 0) return "";
  return notes.length === 1 ? " (1 note)" : ` (${notes.length} notes)`;
}

function statusWord(status: BackendStatus): string {
  return enumWord(BackendStatusSchema, status) ?? "not validated";
}
