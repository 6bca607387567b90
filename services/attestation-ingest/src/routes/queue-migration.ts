import type { MigrationServiceQueueRequest, MigrationServiceQueueResponseSchema } from "@attestry/api/ingest";
import { apiPrincipal, decodePageToken, encodePageToken, firstIdAt, reasonOf } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { Context } from "../context.ts";
import type { Migration } from "../db/migrations.ts";
import { parseMigration } from "./parse-migration.ts";

const firstId = firstIdAt(0);
const pageRows = 1_000;

/** MigrationService.Queue: the worker copies what is queued, and confirms each when the target has said that it has it. */
export async function queueMigration(
  context: Context,
  request: MigrationServiceQueueRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof MigrationServiceQueueResponseSchema>> {
  const { organizationId, tokenId } = apiPrincipal(call);
  const migration = parseMigration(organizationId, request);
  const scope = { kind: "migration", filters: { from: migration.from, to: migration.to } };
  const afterId = decodePageToken(request.pageToken, scope) ?? firstId;
  await checkBackends(context, migration);

  const { attestations, sizeBytes, queued, lastId } = await context.migrations.queue(migration, {
    ...{ afterId, rows: pageRows, actor: `token ${tokenId}` },
  });
  const nextPageToken = lastId === undefined ? "" : encodePageToken(scope, lastId);
  return { attestations, sizeBytes: BigInt(sizeBytes), queued, nextPageToken };
}

/** The tokens are asked for to hear that both backends are the organization's; the target is kept from being deleted by it. */
async function checkBackends({ run }: Context, { organizationId, from, to }: Migration): Promise<void> {
  await run.uploadToken({ organizationId, backendId: to, maxBytes: 1 });
  try {
    await run.managerToken({ organizationId, backendId: from });
  } catch (error) {
    if (reasonOf(error) !== "BACKEND_INLINE") throw error;
  }
}
