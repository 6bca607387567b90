import type { TokenServiceRecordUsesRequest, TokenServiceRecordUsesResponseSchema, TokenUse } from "@attestry/api/run";
import { DomainError, parseUuid } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { AppContext } from "../context.ts";

const mostUses = 1_000;
/** Whatever is longer ago is told as this; so the time that comes of it is one that PostgreSQL has. */
const longestAgoMs = 10 * 366 * 86_400_000;

export async function recordTokenUses(
  context: AppContext,
  { uses }: TokenServiceRecordUsesRequest,
): Promise<MessageInitShape<typeof TokenServiceRecordUsesResponseSchema>> {
  if (uses.length > mostUses) {
    throw new DomainError("REQUEST_INVALID", `uses must be at most ${mostUses}; came ${uses.length}`, {
      metadata: { expected: `0..${mostUses}`, actual: String(uses.length) },
    });
  }
  await context.tokens.recordUses(uses.map(parseUse));
  return {};
}

function parseUse({ tokenId, ago }: TokenUse, index: number) {
  const agoMs = ago === undefined ? Number.NaN : durationMs(ago);
  if (!(agoMs >= 0)) {
    const actual = ago === undefined ? "nothing" : `${agoMs} ms`;
    throw new DomainError("REQUEST_INVALID", `uses[${index}].ago must be at least 0; came ${actual}`, {
      metadata: { expected: "at least 0", actual },
    });
  }
  const id = parseUuid(tokenId, "REQUEST_INVALID", `uses[${index}].token_id`);
  return { tokenId: id, agoMs: Math.min(agoMs, longestAgoMs) };
}
