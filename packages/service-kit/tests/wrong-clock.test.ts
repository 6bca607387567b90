import { WorkflowService } from "@attestry/api/run";
import { Code, createClient, type Transport } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { decodeJwt } from "jose";
import {
  connectErrorOf,
  createClockReport,
  createInProcessTransport,
  createMetrics,
  createServiceTransport,
  DomainError,
  Keyring,
  type ServiceModule,
} from "../src/index.ts";
import { fakeModule, logger, serveModule } from "./fake-module.ts";

const hourMs = 3_600_000;
const to = "workflow-run";
let keyrings: Awaited<ReturnType<typeof Keyring.generate>>;
const ends: (() => unknown)[] = [];

beforeEach(async () => {
  keyrings = await Keyring.generate();
});
afterEach(async () => {
  jest.restoreAllMocks();
  for (const end of ends.splice(0).reverse()) await end();
});

/** What happens while the clock of this process is that much off. */
async function withClock<T>(shiftMs: number, work: () => Promise<T>): Promise<T> {
  const now = Date.now.bind(Date);
  const clock = jest.spyOn(Date, "now").mockImplementation(() => now() + shiftMs);
  return work().finally(() => clock.mockRestore());
}

/** What the peer says of the time to a caller whose clock is two hours behind. */
async function refusedTime({ peer = keyrings[to], caller = keyrings["attestation-ingest"] } = {}): Promise<string> {
  const old = await withClock(-2 * hourMs, () => freshToken(caller, peer.service));
  const refusal: unknown = await peer.verify(old).catch((error: unknown) => error);
  if (!(refusal instanceof DomainError)) throw new Error("it was not refused");
  return refusal.metadata.signed_time ?? "";
}

/** Not one that was made before: those are used for 30 s by a clock that none of these tests shifts. */
async function freshToken(keyring: Keyring, peer: typeof keyring.service): Promise<string> {
  const later = performance.now() + 31_000;
  const clock = jest.spyOn(performance, "now").mockReturnValue(later);
  return keyring.serviceToken(peer).finally(() => clock.mockRestore());
}

describe.each<[string, (module: ServiceModule) => Promise<Transport>]>([
  [
    "over the network",
    async (module) => {
      const server = await serveModule(module);
      ends.push(() => server.close());
      const transport = createServiceTransport({ keyring: keyrings["attestation-ingest"], to, address: server.url });
      ends.push(() => transport.close());
      return transport;
    },
  ],
  [
    "in process",
    (module) =>
      Promise.resolve(createInProcessTransport(() => module, { keyring: keyrings["attestation-ingest"], to })),
  ],
])("%s", (_, open) => {
  test("a call whose token has run out by the peer's clock is made once more, by that clock", async () => {
    let calls = 0;
    const get = () => {
      calls++;
      return {};
    };
    const module = { ...fakeModule({ get }), authenticator: authenticatorOf(keyrings[to]) };
    const client = createClient(WorkflowService, await open(module));
    await withClock(-hourMs, () => keyrings["attestation-ingest"].serviceToken(to));
    await client.get({});
    expect(calls).toBe(1);
  });

  test("but not for ever, and not with a token that is not ours", async () => {
    let asked = 0;
    const authenticator = {
      async authenticate() {
        asked++;
        const signed_time = await refusedTime();
        throw new DomainError("TOKEN_EXPIRED", "always", { metadata: { signed_time } });
      },
    };
    const client = createClient(WorkflowService, await open({ ...fakeModule(), authenticator }));
    const fault = (headers: Record<string, string> = {}) =>
      client.get({}, { headers }).catch((error: unknown) => error);
    expect(connectErrorOf(await fault()).code).toBe(Code.Internal);
    expect(asked).toBe(2);
    await fault({ authorization: "Bearer another" });
    expect(asked).toBe(3);
  });
});

function authenticatorOf(keyring: Keyring): ServiceModule["authenticator"] {
  return {
    authenticate: async (header) => (await keyring.verify((header ?? "").replace("Bearer ", ""))).principal,
  };
}

test.each([-hourMs, hourMs])(
  "%d ms off: tokens for the peer that said so go by its clock, all others by our own",
  async (shiftMs) => {
    const caller = keyrings["attestation-ingest"];
    const signedTime = await refusedTime();
    const [shown, other] = await withClock(shiftMs, async () => {
      expect(await caller.learnTime(to, signedTime)).toBe(true);
      return [await caller.serviceToken(to), await caller.serviceToken("cas-gateway")];
    });
    const inSeconds = (token: string) => (decodeJwt(token).exp ?? 0) - Date.now() / 1000;
    expect(inSeconds(shown)).toBeGreaterThan(55);
    expect(inSeconds(shown)).toBeLessThan(62);
    expect(inSeconds(other) - 60 - shiftMs / 1000).toBeCloseTo(0, -1);
    expect(await keyrings[to].verify(shown)).toMatchObject({ principal: { service: "attestation-ingest" } });
  },
);

test("the time is taken from the peer alone, as it signed it for us, and never a day off", async () => {
  const caller = keyrings["attestation-ingest"];
  const foreign = await Keyring.generate();
  const byStranger = await refusedTime({ peer: foreign[to], caller: foreign["attestation-ingest"] });
  expect(await caller.learnTime(to, byStranger)).toBe(false);
  expect(await caller.learnTime(to, await refusedTime({ peer: keyrings["cas-gateway"] }))).toBe(false);
  expect(await caller.learnTime(to, await refusedTime({ caller: keyrings["cas-gateway"] }))).toBe(false);
  expect(await caller.learnTime(to, await keyrings[to].serviceToken("attestation-ingest"))).toBe(false);
  expect(await caller.learnTime(to, "no.jwt.here")).toBe(false);
  const right = await refusedTime();
  expect(await withClock(-25 * hourMs, () => caller.learnTime(to, right))).toBe(false);
  expect(await caller.learnTime(to, right)).toBe(true);
  await expect(keyrings["attestation-ingest"].verify(right)).rejects.toMatchObject({ code: "TOKEN_AUDIENCE_WRONG" });
});

test("what a peer said is forgotten after 10 min, since clocks are put right", async () => {
  const caller = keyrings["attestation-ingest"];
  const signedTime = await refusedTime();
  await withClock(-hourMs, () => caller.learnTime(to, signedTime));
  const ahead = decodeJwt(await caller.serviceToken(to)).exp ?? 0;
  const later = performance.now() + 601_000;
  jest.spyOn(performance, "now").mockReturnValue(later);
  expect(ahead - (decodeJwt(await caller.serviceToken(to)).exp ?? 0)).toBeCloseTo(3_600, -1);
});

test("it is shown, and warned of once for each amount", async () => {
  const metrics = createMetrics();
  const warn = jest.spyOn(logger, "warn");
  const report = createClockReport({ logger, metrics });
  for (const aheadMs of [2_000, hourMs, hourMs + 500, 0, hourMs]) report(to, aheadMs);
  expect(warn.mock.calls.map(([, text]) => text)).toEqual([
    "the clock here is 3600 s behind that of workflow-run; put it right (NTP)",
  ]);
  report("cas-gateway", -hourMs);
  expect(warn).toHaveBeenCalledTimes(2);
  expect(await metrics.metrics()).toContain('attestry_peer_clock_ahead_seconds{peer="workflow-run"} 3600');
});
