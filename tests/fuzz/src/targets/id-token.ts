import { DomainError } from "@attestry/service-kit";
import fc from "fast-check";
import { newFederatedToken } from "../../../../services/workflow-run/src/federation/federated-token.ts";
import { IssuerKeys } from "../../../../services/workflow-run/src/federation/issuer-keys.ts";
import { matchingRule } from "../../../../services/workflow-run/src/federation/matching-rule.ts";
import type { FederationRule } from "../../../../services/workflow-run/src/federation/rule.ts";
import { readIdToken, verifyIdToken } from "../../../../services/workflow-run/src/federation/verify-id-token.ts";
import { idTokens } from "../grammar/id-token.ts";
import { newSigner } from "../grammar/signed.ts";
import { anyText } from "../grammar/text.ts";
import { promise, type Target, target } from "../target.ts";

const issuer = "https://issuer.example";
const rule = (pattern: string): FederationRule => ({
  ...{ id: "0190a000-0000-7000-8000-000000000000", name: "release", issuer, audience: "attestry", role: "ci" },
  conditions: [{ claim: "repository", pattern }],
  ...{ lifetimeSeconds: 900, createdAt: new Date() },
});
const rules = fc.oneof(fc.constantFrom("acme/*", "*", "*acme*app*", "(a+)+$"), anyText).map(rule);

/** ID tokens that are signed by their issuer, or nearly, up to the token that they are exchanged for. */
export function idTokenTarget(): Target {
  const signer = newSigner();
  const jwk = { ...signer.publicKey.export({ format: "jwk" }), kid: "fuzz", alg: "EdDSA", use: "sig" };
  const keys = new IssuerKeys({ fetch: async () => ({ keys: [jwk] }), logger: { warn() {} } as never });
  return target("ID tokens", 3_500, fc.tuple(idTokens(signer.sign, issuer), rules), async ([token, wanted]) => {
    if (readIdToken(token)?.iss !== issuer) throw refused();
    const claims = await verifyIdToken(token, issuer, keys.of(issuer)).catch(refuse);
    promise(claims.iss === issuer && typeof claims.sub === "string", "claims without issuer or subject");
    if (matchingRule([wanted], claims).rule === undefined) throw refused();
    const made = newFederatedToken("0190a000-0000-7000-8000-000000000001", wanted, claims);
    const kept = JSON.stringify(made);
    promise(
      kept.length < 8_000 && !kept.includes("\\u0000") && made.token.name.length < 200,
      "more than a row can hold",
    );
  });
}

// jose says what it refuses by a code; all else is a bug, which the method would refuse as well.
function refuse(error: unknown): never {
  const { code, message } = error as { code?: string; message?: string };
  if (code?.startsWith("ERR_J") || message === "the claim sub is no text") throw refused();
  throw error;
}

function refused(): DomainError {
  return new DomainError("FEDERATION_REFUSED", "refused");
}
