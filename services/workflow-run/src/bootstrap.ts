import { uuidv7 } from "@attestry/service-kit";
import { type BackendProvider, parseMaxBytes, parsePrefix, parseSecretRef } from "./backends/backend.ts";
import type { AppContext } from "./context.ts";
import { type Organization, organizationNotFound } from "./organizations/organization.ts";
import { nameRule, parseName } from "./text.ts";
import { signToken } from "./tokens/sign-token.ts";

export interface FirstBackend {
  name: string;
  provider: Exclude<BackendProvider, "inline">;
  secretRef: string;
  prefix?: string;
}

export interface BootstrapOptions {
  /** Name of the first organization. */
  organization: string;
  /** Becomes its default in place of `inline`. */
  backend?: FirstBackend;
}

export interface Bootstrapped {
  /** The first token, an instance admin's, as it was from the start; absent once it is revoked. */
  adminToken?: string;
  /** Whether this call made the token. */
  created: boolean;
}

const firstTokenName = "admin";
/** As the audit log names who bootstraps. */
const ownActor = "service workflow-run";

/**
 * What a new instance needs to be talked to: an organization with its backends, and a token. Idempotent, also when a
 * call died midway or several come at once. The backend is validated in the background: the gateway need not be up.
 */
export async function bootstrap(context: AppContext, options: BootstrapOptions): Promise<Bootstrapped> {
  const name = parseName(options.organization, nameRule, "organization");
  const { organizations, tokens, keyring } = context;
  const organization = (await organizations.create(name, ownActor)) ?? (await organizations.findByName(name));
  if (organization === null) throw organizationNotFound(name);
  // The token comes last. Once it is there, which backends the organization has is its admins' affair.
  const isNew = (await tokens.findFirst(organization.id, firstTokenName)) === null;
  if (isNew && options.backend !== undefined) await addBackend(context, organization, options.backend);
  const { token, created } = await tokens.findOrCreateFirst(
    {
      id: uuidv7(),
      organizationId: organization.id,
      name: firstTokenName,
      role: "admin",
      instanceAdmin: true,
      federated: false,
      forChainloop: false,
      expiresAt: null,
    },
    ownActor,
  );
  if (token.revokedAt !== null) return { created };
  return { adminToken: await signToken(keyring, organization, token), created };
}

async function addBackend(
  { backends }: AppContext,
  organization: Organization,
  { name, provider, secretRef, prefix = "" }: FirstBackend,
): Promise<void> {
  const backend = {
    id: uuidv7(),
    organizationId: organization.id,
    name: parseName(name, nameRule, "backend"),
    provider,
    secretRef: parseSecretRef(secretRef, provider),
    prefix: parsePrefix(prefix, provider),
    isDefault: true,
    maxBytes: parseMaxBytes(0n, provider),
  };
  await backends.create(backend, ownActor);
}
