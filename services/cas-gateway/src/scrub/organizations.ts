import { CasRole, CasSpace, CredentialService, OrganizationService } from "@attestry/api/run";
import { type CasPrincipal, type Keyring, reasonOf } from "@attestry/service-kit";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { type Issuer, issuedPrincipal } from "../callers/issued-principal.ts";

const timeoutMs = 10_000;
const pageSize = 200;
/** What an organization without an external backend, and one that has gone, answer. */
const hasNone = new Set(["BACKEND_INLINE", "BACKEND_NOT_FOUND", "ORGANIZATION_NOT_FOUND"]);

/** Whose backends there are; workflow-run knows. */
export class Organizations {
  readonly #organizations: Client<typeof OrganizationService>;
  readonly #issuer: Issuer;

  constructor({ run, keyring }: { run: Transport; keyring: Keyring }) {
    this.#organizations = createClient(OrganizationService, run);
    this.#issuer = { credentials: createClient(CredentialService, run), keyring };
  }

  /** The ids of all, a page at a time. Throws PEER_UNAVAILABLE. */
  async *all(signal: AbortSignal): AsyncGenerator<string, void, void> {
    let pageToken = "";
    do {
      const page = await this.#organizations.list({ pageSize, pageToken }, { signal, timeoutMs });
      for (const { id } of page.organizations) yield id;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /** The organization's external backends in the order of reads; undefined: it has none. Throws PEER_UNAVAILABLE. */
  async backendsOf(
    organizationId: string,
    signal: AbortSignal,
    space: CasSpace = CasSpace.BUNDLES,
  ): Promise<CasPrincipal | undefined> {
    const value = { organizationId, role: CasRole.MANAGER, space };
    try {
      return await issuedPrincipal(this.#issuer, value, { signal, timeoutMs });
    } catch (error) {
      if (hasNone.has(reasonOf(error) ?? "")) return undefined;
      throw error;
    }
  }
}
