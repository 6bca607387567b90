import { AuditEventSchema } from "@attestry/api/audit";
import { type Command, Option } from "commander";
import { withContext } from "../context.ts";
import { type AuditSource, type KeptEvent, readMerged } from "../merged-audit.ts";
import { timeCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import type { Column } from "../output/output.ts";
import { plain } from "../output/plain.ts";
import { addPageOptions, noteMore, type PageOptions } from "../paging.ts";

/** All that there are: docs/retention.md. */
const actions = [
  "organization.create",
  "organization.update",
  "trust.set",
  "token.create",
  "token.revoke",
  "token.exchange",
  "federation.create",
  "federation.delete",
  "backend.create",
  "backend.update",
  "backend.delete",
  "contract.create",
  "contract.update",
  "project.release",
  "run.cancel",
  "certificate.issue",
  "upload.retry",
  "migration.queue",
  "attestation.expire",
  "attestation.keep",
  "attestation.delete",
  "blob.delete",
  "blob.keep",
  "material.expire",
  "material.delete",
  "material.keep",
];

export function addAuditCommand(program: Command): void {
  const command = program
    .command("audit")
    .summary("who changed what, and what was deleted, newest first")
    .description(
      "List the audit events of the organization, newest first: of attestations, uploads and migrations from attestation-ingest, of all else from workflow-run. Needs an admin's token.",
    )
    .addOption(new Option("--action <action>", "only this action").choices(actions))
    .action((options: PageOptions & { action?: string }, self: Command) =>
      withContext(self, async (context) => {
        const { services, caller } = context;
        const { action = "", limit, pageToken = "" } = options;
        const sources: AuditSource[] = [
          {
            service: "workflow-run",
            list: (page) => caller.repeatable((call) => services.runAudit.list({ action, ...page }, call)),
          },
          {
            service: "attestation-ingest",
            list: (page) => caller.repeatable((call) => services.ingestAudit.list({ action, ...page }, call)),
          },
        ];
        const { events, nextPageToken } = await readMerged(sources, { limit, pageToken });
        const json = events.map(({ service, event }) => ({ service, ...plain(AuditEventSchema, event) }));
        await context.printList({ events: json, nextPageToken }, columns, events, "no events");
        await noteMore(context, nextPageToken);
      }),
    );
  addPageOptions(command);
  const fields = "service, number (of that service), at, actor, action, resource, detail";
  addExamples(
    addOutputOption(command, `{events: [{${fields}}], nextPageToken}`),
    "attestry audit",
    "attestry audit --action organization.update -o json",
  );
}

const columns: Column<KeptEvent>[] = [
  { head: "time", cell: ({ event }) => timeCell(event.at) },
  { head: "actor", cell: ({ event }) => event.actor },
  { head: "action", cell: ({ event }) => event.action },
  { head: "resource", cell: ({ event }) => event.resource },
  { head: "detail", cell: ({ event }) => detailCell(event.detail) },
];

function detailCell(detail: Record<string, string>): string {
  const names = Object.keys(detail).sort();
  return names.map((name) => `${name}=${detail[name]}`).join(" ");
}
