import { LRUCache } from "lru-cache";
import { DomainError } from "../errors/domain-error.ts";
import type { Keyring, VerifiedToken } from "./keyring.ts";
import type { Principal } from "./principal.ts";
import type { Revocations } from "./revocations.ts";
import type { TokenUses } from "./token-uses.ts";

/** Those whose tokens are not known yet: to verify one costs more than all else that a refusal does. */
export interface Strangers {
  /** One is to be verified. Waits while others are; throws if too many were refused. Else `leave` follows. */
  enter(): Promise<void>;
  /** It was verified; one that was good does not count. */
  leave(good: boolean): void;
  /** One that counts, whatever comes of it. Throws if too many were refused. */
  count(): void;
}

/** Decides who a caller is, by the Authorization header. */
export interface Authenticator {
  /** Throws what `strangers` throws, which is asked before a signature is verified, TOKEN_MISSING, TOKEN_MALFORMED, TOKEN_EXPIRED, TOKEN_AUDIENCE_WRONG, TOKEN_SIGNATURE_INVALID, TOKEN_REVOKED, REVOCATIONS_UNKNOWN. */
  authenticate(authorization: string | null, strangers?: Strangers): Promise<Principal>;
}

const longestToken = 8_192;
const rememberedTokens = 10_000;

/** Verifies signatures once per token and remembers the result until the token runs out; revocation is judged on every call. */
export function createAuthenticator({
  keyring,
  revocations,
  uses,
}: {
  keyring: Keyring;
  revocations?: Revocations;
  /** Told of each API token that is taken. */
  uses?: TokenUses;
}): Authenticator {
  const verified = new LRUCache<string, VerifiedToken>({ max: rememberedTokens });

  async function verify(authorization: string | null, strangers: Strangers | undefined): Promise<VerifiedToken> {
    const token = bearerToken(authorization);
    const known = verified.get(token);
    if (known !== undefined && known.expiresAt > Date.now()) return known;
    await strangers?.enter();
    let good = false;
    try {
      const fresh = await keyring.verify(token);
      verified.set(token, fresh);
      good = true;
      return fresh;
    } finally {
      strangers?.leave(good);
    }
  }

  return {
    async authenticate(authorization, strangers) {
      const { principal } = await verify(authorization, strangers);
      if (principal.kind === "api") {
        await revocations?.check(principal.tokenId).catch((error: unknown) => {
          // As often as one that was never good; this error says more than that there were too many.
          if (error instanceof DomainError && error.code === "TOKEN_REVOKED") strangers?.count();
          throw error;
        });
        uses?.record(principal.tokenId);
      }
      return principal;
    },
  };
}

function bearerToken(authorization: string | null): string {
  if (authorization === null || authorization === "") {
    throw new DomainError("TOKEN_MISSING", "this call needs a token: send the header `authorization: Bearer <token>`");
  }
  const token = /^Bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(authorization.slice(0, longestToken))?.[1];
  if (token === undefined || authorization.length > longestToken) {
    throw new DomainError("TOKEN_MALFORMED", "the authorization header must be `Bearer <token>`");
  }
  return token;
}
