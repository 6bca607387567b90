import { TokenService } from "@attestry/api/run";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { createClient, type Transport } from "@connectrpc/connect";
import type { TokenUsesOptions } from "./token-uses.ts";

const timeoutMs = 10_000;

/** Tells workflow-run when tokens were used in another service. Throws its errors, and PEER_UNAVAILABLE. */
export function reportTokenUses(run: Transport): TokenUsesOptions["report"] {
  const tokens = createClient(TokenService, run);
  return async (uses) => {
    const told = uses.map(({ tokenId, agoMs }) => ({ tokenId, ago: durationFromMs(Math.round(agoMs)) }));
    await tokens.recordUses({ uses: told }, { timeoutMs });
  };
}
