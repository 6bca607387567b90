import type {
  MigrationServiceGetProgressRequest,
  MigrationServiceGetProgressResponseSchema,
} from "@attestry/api/ingest";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { Context } from "../context.ts";
import { parseMigration } from "./parse-migration.ts";

/** MigrationService.GetProgress: what is queued and not copied yet. */
export async function getMigrationProgress(
  context: Context,
  request: MigrationServiceGetProgressRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof MigrationServiceGetProgressResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const progress = await context.migrations.progress(parseMigration(organizationId, request));
  return {
    pending: BigInt(progress.pending),
    failing: BigInt(progress.failing),
    givenUp: BigInt(progress.givenUp),
    sizeBytes: BigInt(progress.sizeBytes),
    lastError: progress.lastError,
  };
}
