import { setTimeout as sleep } from "node:timers/promises";
import { ErrorInfoSchema, RetryInfoSchema } from "@attestry/api/errors";
import { WorkflowService } from "@attestry/api/run";
import { type ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterEach, describe, expect, test } from "@jest/globals";
import { describeWith } from "../../dev-env/src/jest/describe-with.ts";
import { startRedis } from "../../dev-env/src/redis.ts";
import { testRedis } from "../../dev-env/src/test-servers.ts";
import {
  createMetrics,
  createServiceTransport,
  Keyring,
  methodName,
  reasonOf,
  type ServiceModule,
  type ServingLimits,
  serve,
} from "../src/index.ts";
import { RefusedTokens } from "../src/limits/refused-tokens.ts";
import { adminClaims, adminToken, fakeModule, keyrings, logger } from "./fake-module.ts";
import { connect, rawCall, until } from "./raw-call.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function start(limits: Partial<ServingLimits>, more: Partial<ServiceModule> = {}) {
  const metrics = createMetrics();
  const modules = [{ ...fakeModule({ get: ({ name }) => ({ workflow: { name } }) }), ...more }];
  const server = await serve({ modules, listen: { host: "127.0.0.1", port: 0 }, limits, logger, metrics });
  ends.push(() => server.close());
  return { ...server, metrics };
}

const run = keyrings["workflow-run"];
const tokenOf = (claims: { tokenId: string; organizationId?: string }) =>
  run.issueApiToken({ ...adminClaims, ...claims });

const protocols: Record<string, (baseUrl: string) => Transport> = {
  gRPC: (baseUrl) => createGrpcTransport({ baseUrl }),
  "gRPC-Web": (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "2" }),
  "Connect over HTTP/1.1": (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" }),
};

function callerOf(url: string, protocol = "gRPC") {
  const transport = protocols[protocol]?.(url);
  if (transport === undefined) throw new Error(protocol);
  const client = createClient(WorkflowService, transport);
  return (token: string): Promise<"ok" | ConnectError> =>
    client.get({ name: "w" }, { headers: { authorization: `Bearer ${token}` } }).then(
      () => "ok" as const,
      (error: ConnectError) => error,
    );
}

async function burst(call: (token: string) => Promise<"ok" | ConnectError>, token: string, count = 60) {
  const answers = await Promise.all(Array.from({ length: count }, () => call(token)));
  const refusals = answers.filter((answer) => answer !== "ok");
  return { ok: count - refusals.length, refusals };
}

function limitOf(error: ConnectError | undefined): unknown {
  return error?.findDetails(ErrorInfoSchema)[0]?.metadata.limit;
}

describe.each(Object.keys(protocols))("%s", (protocol) => {
  test("a token has its rate; then it is told which limit it was and when to come again, and is let in then", async () => {
    const { url, metrics } = await start({ ratePerToken: 10 });
    const call = callerOf(url, protocol);
    const { ok, refusals } = await burst(call, adminToken);
    expect(ok).toBeGreaterThanOrEqual(10);
    expect(refusals.length).toBeGreaterThan(0);
    const [refusal] = refusals;
    expect([reasonOf(refusal), limitOf(refusal)]).toEqual(["RATE_LIMITED", "token"]);
    const delay = refusal?.findDetails(RetryInfoSchema)[0]?.retryDelay;
    expect(delay?.nanos).toBeGreaterThan(0);
    expect(await metrics.metrics()).toContain(`attestry_rate_limited_total{limit="token"} ${refusals.length}`);
    // Another token of the organization has its own.
    expect(await call(await tokenOf({ tokenId: "t2" }))).toBe("ok");
    await sleep(Number(delay?.seconds) * 1_000 + (delay?.nanos ?? 0) / 1e6);
    expect(await call(adminToken)).toBe("ok");
  });

  test("so has an organization, whichever its tokens; another organization is not held up", async () => {
    const { url } = await start({ ratePerOrganization: 10 });
    const call = callerOf(url, protocol);
    const tokens = await Promise.all(["a", "b", "c", "d"].map((tokenId) => tokenOf({ tokenId })));
    const bursts = await Promise.all(tokens.map((token) => burst(call, token, 20)));
    const refusals = bursts.flatMap((each) => each.refusals);
    expect(refusals.length).toBeGreaterThan(0);
    expect(limitOf(refusals[0])).toBe("organization");
    const other = await tokenOf({ tokenId: "e", organizationId: "o2" });
    expect(await call(other)).toBe("ok");
  });
});

test("services among each other have no rate, and 0 is none", async () => {
  const limited = await start({ ratePerToken: 1, ratePerOrganization: 1 });
  const identity = { keyring: keyrings["attestation-ingest"], to: "workflow-run" } as const;
  const transport = createServiceTransport({ ...identity, address: limited.url });
  ends.push(() => transport.close());
  const client = createClient(WorkflowService, transport);
  await Promise.all(Array.from({ length: 30 }, () => client.get({ name: "w" })));
  const { url } = await start({ ratePerToken: 0, ratePerOrganization: 0, rateOfFailures: 0 });
  expect((await burst(callerOf(url), adminToken)).ok).toBe(60);
});

test("calls that need no token have the rate of those whose token is refused", async () => {
  const { access } = fakeModule();
  const open = { ...access, [methodName(WorkflowService.method.get)]: { public: true as const } };
  const { url } = await start({ rateOfFailures: 10 }, { access: open });
  const { ok, refusals } = await burst(callerOf(url), "none");
  expect(ok).toBeGreaterThanOrEqual(10);
  expect([reasonOf(refusals[0]), limitOf(refusals[0])]).toEqual(["RATE_LIMITED", "failures"]);
});

test("one that is refused is told so before a byte of its body", async () => {
  const { url } = await start({ ratePerToken: 1 });
  await burst(callerOf(url), adminToken, 10);
  const session = connect(url);
  ends.push(() => session.destroy());
  // None of them ever sends one; the first may be let in.
  const calls = Array.from({ length: 6 }, () => rawCall(session, "Write", { "content-length": "1000000" }));
  const first = await Promise.race(calls.map(({ answered }) => answered));
  expect(first["grpc-status"]).toBe("8");
});

test("HTTP routes count too", async () => {
  const { url } = await start(
    { ratePerToken: 5 },
    {
      http: [
        {
          prefix: "/v1/things/",
          async handle(_request, response, { authenticate }) {
            const { kind } = await authenticate();
            response.end(kind);
          },
        },
      ],
    },
  );
  const get = () => fetch(`${url}/v1/things/`, { headers: { authorization: `Bearer ${adminToken}` } });
  const answers = await Promise.all(Array.from({ length: 40 }, get));
  const limited = answers.filter(({ status }) => status === 429);
  expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(5);
  expect(limited.length).toBeGreaterThan(0);
  expect(limited[0]?.headers.get("retry-after")).toBe("1");
  expect(await limited[0]?.text()).toContain("RATE_LIMITED");
});

test("refused tokens from one address are looked at so many times a second; a token that is known gets in meanwhile", async () => {
  const { url } = await start({ rateOfFailures: 10 });
  const call = callerOf(url);
  expect(await call(adminToken)).toBe("ok");
  const stranger = (await Keyring.generate())["workflow-run"];
  const foreign = await Promise.all(
    Array.from({ length: 80 }, (_, i) => stranger.issueApiToken({ ...adminClaims, tokenId: `x${i}` })),
  );
  const began = performance.now();
  const answers = Promise.all(foreign.map(call));
  const meanwhile = await Promise.all(Array.from({ length: 20 }, () => call(adminToken)));
  expect(new Set(meanwhile)).toEqual(new Set(["ok"]));
  const reasons = (await answers).map((answer) => reasonOf(answer));
  const lookedAt = reasons.filter((reason) => reason === "TOKEN_SIGNATURE_INVALID").length;
  expect(lookedAt).toBeGreaterThanOrEqual(10);
  expect(lookedAt).toBeLessThanOrEqual(11 + (10 * (performance.now() - began)) / 1_000);
  const limited = (await answers).find((answer) => reasonOf(answer) === "RATE_LIMITED") as ConnectError;
  expect(limitOf(limited)).toBe("failures");
  // One that is good and new gets in a moment later.
  const fresh = await tokenOf({ tokenId: "fresh" });
  await until(async () => (await call(fresh)) === "ok");
});

test("a thousand jobs that begin at once behind one address, each with a new token, are all let in", async () => {
  const { url, metrics } = await start({ rateOfFailures: 10 });
  const call = callerOf(url);
  const tokens = await Promise.all(Array.from({ length: 1_000 }, (_, i) => tokenOf({ tokenId: `job-${i}` })));
  const answers = await Promise.all(tokens.map(call));
  expect(new Set(answers)).toEqual(new Set(["ok"]));
  expect(await metrics.metrics()).not.toContain('attestry_rate_limited_total{limit="failures"}');
}, 60_000);

describe("places for tokens that may be refused", () => {
  const address = "192.0.2.1";

  test("whoever finds none waits for those who verify: a good token frees its place, a bad one does not", async () => {
    const places = new RefusedTokens(2);
    expect([await places.enter(address), await places.enter(address)]).toEqual([0, 0]);
    const ended: number[] = [];
    const waiting = [1, 2, 3].map(() => places.enter(address).then((waitMs) => ended.push(waitMs)));
    await sleep(0);
    expect(ended).toEqual([]);
    places.leave(address, true);
    await sleep(0);
    expect(ended).toEqual([0]);
    places.leave(address, false);
    await sleep(0);
    expect(ended).toEqual([0]);
    places.leave(address, false);
    await Promise.all(waiting);
    expect(ended.map((waitMs) => waitMs > 0)).toEqual([false, true, true]);
    // Nobody else has to wait for it.
    expect(await places.enter("192.0.2.2")).toBe(0);
  });

  test("of bad tokens, no more are verified at a time or in all than there are places", async () => {
    const places = new RefusedTokens(5);
    let [atOnce, most, verified] = [0, 0, 0];
    const verifyBad = async () => {
      if ((await places.enter(address)) > 0) return;
      verified++;
      most = Math.max(most, ++atOnce);
      await sleep(1);
      atOnce--;
      places.leave(address, false);
    };
    const began = performance.now();
    await Promise.all(Array.from({ length: 1_000 }, verifyBad));
    expect(most).toBeLessThanOrEqual(6);
    expect(verified).toBeGreaterThanOrEqual(5);
    expect(verified).toBeLessThanOrEqual(6 + (5 * (performance.now() - began)) / 1_000);
  });
});

describeWith(["redis"], "with Redis", () => {
  /** Calls both at once as often as it can for a while; how many were answered, and in which time. */
  async function hammer(urls: readonly string[], token: string, forMs: number) {
    const calls = urls.map((url) => callerOf(url));
    const began = performance.now();
    let ok = 0;
    await Promise.all(
      calls.map(async (call) => {
        while (performance.now() - began < forMs) {
          if ((await call(token)) === "ok") ok++;
          await sleep(2);
        }
      }),
    );
    return { ok, seconds: (performance.now() - began) / 1_000 };
  }

  test("two replicas let in together little more than one may, and without Redis twice that", async () => {
    const rate = 40;
    const token = await tokenOf({ tokenId: `shared-${Date.now()}`, organizationId: `o-${Date.now()}` });
    const limits = { ratePerOrganization: rate, redisUrl: testRedis() };
    const replicas = [await start(limits), await start(limits)];
    const { ok, seconds } = await hammer(
      replicas.map(({ url }) => url),
      token,
      8_000,
    );
    // Each begins with a second's worth, and what both let in is told five times a second.
    expect(ok).toBeLessThan(rate * (seconds + 2) * 1.4);
    expect(ok).toBeGreaterThan(rate * seconds * 0.3);
    // Another service's counts are its own.
    const other = await start(limits, { name: "cas-gateway" });
    expect(await callerOf(other.url)(token)).toBe("ok");
  }, 60_000);

  test("Redis killed: calls are answered as before, each replica counts by itself, and says so", async () => {
    const redis = await startRedis();
    ends.push(() => redis.stop());
    const server = await start({ ratePerToken: 20, redisUrl: redis.url });
    const call = callerOf(server.url);
    expect(await call(adminToken)).toBe("ok");
    await redis.stop();
    const began = performance.now();
    const counted = async () => /rate_shared_skipped_total [1-9]/.test(await server.metrics.metrics());
    await until(async () => {
      await call(adminToken);
      return counted();
    });
    await until(async () => (await call(adminToken)) === "ok");
    const { refusals } = await burst(call, adminToken);
    expect(refusals.length).toBeGreaterThan(0);
    expect(limitOf(refusals[0])).toBe("token");
    expect(performance.now() - began).toBeLessThan(30_000);
  }, 60_000);
});
