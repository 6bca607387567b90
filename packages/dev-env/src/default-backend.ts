import { BackendProvider, BackendService } from "@attestry/api/run";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { type Backend, firstBackend } from "./constellation/bootstrap.ts";

const providers = { filesystem: BackendProvider.FILESYSTEM, s3: BackendProvider.S3 } as const;

/** Those that this program makes; a default that somebody chose beside them stays. */
const ours = new Set((["filesystem", "s3"] as const).map((backend) => firstBackend(backend)?.name));

/**
 * Makes what is there in this start the default of the organization, in place of what an earlier start with other
 * servers left as the default. Returns the name of the default. Throws ConnectError.
 */
export async function ensureDefaultBackend(
  { runUrl, adminToken }: { runUrl: string; adminToken: string },
  backend: Exclude<Backend, "inline">,
): Promise<string> {
  const wanted = firstBackend(backend);
  const transport = createConnectTransport({ baseUrl: runUrl, httpVersion: "1.1" });
  const client = createClient(BackendService, transport);
  const options = { headers: { authorization: `Bearer ${adminToken}` } };
  const { backends } = await client.list({}, options);
  const current = backends.find(({ isDefault }) => isDefault)?.name;
  if (wanted === undefined || (current !== undefined && (current === wanted.name || !ours.has(current)))) {
    return current ?? "inline";
  }
  const { name, secretRef } = wanted;
  if (backends.some((other) => other.name === name)) await client.update({ name, isDefault: true }, options);
  else await client.create({ name, secretRef, provider: providers[backend], isDefault: true }, options);
  return name;
}
