import type { ScrubServiceGetReportRequest, ScrubServiceGetReportResponseSchema } from "@attestry/api/cas";
import { principal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { concurrently } from "../blobs/concurrently.ts";
import type { Context } from "../context.ts";
import { readState } from "../scrub/state.ts";

const readsAtATime = 8;

/** ScrubService.GetReport: what the scrubber left in each of the caller's backends. */
export async function getScrubReport(
  context: Context,
  { backendName }: ScrubServiceGetReportRequest,
  handler: HandlerContext,
): Promise<MessageInitShape<typeof ScrubServiceGetReportResponseSchema>> {
  const instance = backendName === "" ? undefined : backendName;
  const caller = await context.callers.of(principal(handler), "download", instance);
  const backends = await concurrently(caller.backends, readsAtATime, async (named) => {
    const backend = await context.backends.getNamed(caller.organization, named);
    const { current, last } = (await readState(backend, named.id, handler.signal)) ?? {};
    return { backendName: named.name, ...(current && { current }), ...(last && { last }) };
  });
  return { backends };
}
