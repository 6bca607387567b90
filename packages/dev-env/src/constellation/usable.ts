import { setTimeout as sleep } from "node:timers/promises";
import { AttestationService } from "@attestry/api/ingest";
import { Capabilities } from "@attestry/api/reapi";
import { OrganizationService } from "@attestry/api/run";
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";

const deadlineMs = 30_000;

interface Addresses {
  runUrl: string;
  ingestUrl: string;
  casUrl: string;
}

/**
 * Waits until each service answers a call with the token: readiness does not wait for peers, and a client's first
 * call would else meet services that do not reach each other yet. Returns the id of the token's organization.
 */
export async function untilUsable({ runUrl, ingestUrl, casUrl }: Addresses, token: string): Promise<string> {
  const withToken: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  const to = (baseUrl: string) => createConnectTransport({ httpVersion: "1.1", baseUrl, interceptors: [withToken] });
  const { organization } = await retry(() => createClient(OrganizationService, to(runUrl)).get({}));
  await retry(() => createClient(AttestationService, to(ingestUrl)).list({}));
  await retry(() => createClient(Capabilities, to(casUrl)).getCapabilities({}));
  return organization?.id ?? "";
}

async function retry<T>(call: () => Promise<T>): Promise<T> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (ConnectError.from(error).code !== Code.Unavailable || Date.now() > end) throw error;
      await sleep(50);
    }
  }
}
