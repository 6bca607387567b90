// Run as a process of its own by port.test.ts: nothing that it opened may keep it alive at its end.
import { WorkflowService } from "@attestry/api/run";
import { createClient } from "@connectrpc/connect";
import { createInProcessTransport, createServiceTransport, Revocations } from "../src/index.ts";
import { fakeModule, keyrings, logger, serveModule } from "./fake-module.ts";

const identity = { keyring: keyrings["attestation-ingest"], to: "workflow-run" } as const;
const module = fakeModule({
  get: ({ name }) => (name === "hangs" ? new Promise(() => undefined) : { workflow: { name } }),
});
const server = await serveModule(module);
const revocations = new Revocations({ fetch: () => new Promise(() => undefined), logger });
revocations.start();
const network = createServiceTransport({ ...identity, address: server.url });
for (const transport of [network, createInProcessTransport(() => module, identity)]) {
  const client = createClient(WorkflowService, transport);
  await client.get({ name: "w" }, { timeoutMs: 60_000 });
  await client.get({ name: "hangs" }, { timeoutMs: 60_000, signal: AbortSignal.timeout(50) }).catch(() => undefined);
}
network.close();
await server.close();
await revocations.destroy();
process.stdout.write(`destroyed at ${Date.now()}\n`);
