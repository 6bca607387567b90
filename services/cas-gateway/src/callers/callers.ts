import { CasRole, CasSpace, CredentialService } from "@attestry/api/run";
import { type CasPrincipal, DomainError, type Keyring, type Principal, reasonOf } from "@attestry/service-kit";
import { createClient, type Transport } from "@connectrpc/connect";
import { LRUCache } from "lru-cache";
import { type Issuer, issuedPrincipal } from "./issued-principal.ts";

/** What a caller with an API token wants to do; a CAS token says it itself. */
export type Purpose = "upload" | "download";

const issueTimeoutMs = 5_000;
const rememberedMs = 15_000;
const remembered = 10_000;

/** What callers may do here: a CAS token says it; for an API token workflow-run is asked, which issues one. */
export class Callers {
  readonly #issuer: Issuer;
  /** Answers for API tokens, shared by the calls that wait for one. */
  readonly #issued = new LRUCache<string, Promise<CasPrincipal>>({ max: remembered, ttl: rememberedMs });

  constructor({ run, keyring }: { run: Transport; keyring: Keyring }) {
    this.#issuer = { credentials: createClient(CredentialService, run), keyring };
  }

  /**
   * The caller's backends, and what may be done there. `instance` names one backend among them; undefined: all.
   * Throws RESOURCE_NAME_INVALID if it names none, and what IssueCasToken throws (BACKEND_INLINE, ...).
   */
  async of(caller: Principal, purpose: Purpose, instance: string | undefined): Promise<CasPrincipal> {
    if (caller.kind === "cas") return withInstance(caller, instance);
    if (caller.kind === "service") throw new Error("the access table let in a service token");
    const key = JSON.stringify([caller.organizationId, purpose, instance]);
    const known = this.#issued.get(key);
    if (known !== undefined) return known;
    const issued = this.#issue(caller.organizationId, purpose, instance);
    this.#issued.set(key, issued);
    // A fault is not remembered, but for those that wait for it now.
    issued.catch(() => this.#issued.delete(key));
    return issued;
  }

  async #issue(organizationId: string, purpose: Purpose, instance: string | undefined): Promise<CasPrincipal> {
    const role = purpose === "upload" ? CasRole.UPLOADER : CasRole.DOWNLOADER;
    const value = { organizationId, backendName: instance ?? "", role, space: CasSpace.BLOBS };
    // Without the signal of the call that asks first: others wait for the same answer.
    return issuedPrincipal(this.#issuer, value, { timeoutMs: issueTimeoutMs }).catch((error: unknown) => {
      throw reasonOf(error) === "BACKEND_NOT_FOUND" && instance !== undefined
        ? unknownInstance(instance, error)
        : error;
    });
  }
}

function withInstance(caller: CasPrincipal, instance: string | undefined): CasPrincipal {
  if (instance === undefined) return caller;
  const backends = caller.backends.filter(({ name }) => name === instance);
  if (backends.length === 0) throw unknownInstance(instance);
  return { ...caller, backends };
}

/** Not NOT_FOUND, which a client of the Remote Execution API takes for a blob that is not there. */
function unknownInstance(instance: string, cause?: unknown): DomainError {
  return new DomainError(
    "RESOURCE_NAME_INVALID",
    `the instance name must be one of the caller's backends, got ${JSON.stringify(instance)}`,
    {
      metadata: { segment: instance, expected: "the name of a backend" },
      cause,
    },
  );
}
