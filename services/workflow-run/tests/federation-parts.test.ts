import { setTimeout as sleep } from "node:timers/promises";
import { matchesPattern } from "@attestry/bundle";
import { createLogger } from "@attestry/service-kit";
import { describe, expect, jest, test } from "@jest/globals";
import { exportJWK, generateKeyPair, jwtVerify, SignJWT } from "jose";
import { ExchangeCounts } from "../src/federation/exchange-counts.ts";
import { urlFault } from "../src/federation/issuer-address.ts";
import { IssuerKeys } from "../src/federation/issuer-keys.ts";
import { IssuerNames } from "../src/federation/issuer-names.ts";
import { matchingRule } from "../src/federation/matching-rule.ts";
import type { FederationRule } from "../src/federation/rule.ts";
import { readIdToken } from "../src/federation/verify-id-token.ts";

const logger = createLogger({ name: "test", level: "silent" });

test.each([
  ["acme/app", "acme/app", true],
  ["acme/app", "acme/app2", false],
  ["acme/app", "xacme/app", false],
  ["refs/heads/*", "refs/heads/a/b", true],
  ["refs/heads/*", "refs/heads/", true],
  ["refs/heads/*", "xrefs/heads/a", false],
  ["*/app", "acme/app", true],
  ["*/app", "acme/app/x", false],
  ["a*b*c", "a-b-b-c", true],
  ["a*b*c", "acb", false],
  ["ab*ba", "aba", false],
  ["a*bc*c", "abc", false],
  ["a.c", "abc", false],
  ["*", "", true],
  ["", "x", false],
])("the pattern %s and the value %s: %s", (pattern, text, expected) => {
  expect(matchesPattern(pattern, text)).toBe(expected);
});

test("patterns of many stars take no time", () => {
  expect(matchesPattern("a*".repeat(200), `${"a".repeat(15_000)}b`)).toBe(true);
  expect(matchesPattern(`${"a*".repeat(200)}b`, "a".repeat(15_000))).toBe(false);
});

test.each([
  ["no issuer", {}],
  ["an issuer that is no text", { iss: { toString: 1, valueOf: 1 } }],
  ["issuers", { iss: ["https://id.example.test"] }],
])("what has %s is no ID token", (_what, claims) => {
  const token = `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.e30`;
  expect(readIdToken(token)).toBeUndefined();
});

test("an ID token is exchanged 20 times, and another one all the same", () => {
  const counts = new ExchangeCounts();
  for (let times = 0; times < 20; times++) counts.count("one");
  expect(() => counts.count("one")).toThrow("exchanged 20 times");
  counts.count("another");
});

describe("where keys may be fetched", () => {
  const strict = { allowPrivate: false };
  const loose = { allowPrivate: true };
  test.each([
    ["https://token.actions.githubusercontent.com", true, true],
    ["https://gitlab.example.test:8443/path", true, true],
    ["https://8.8.8.8", true, true],
    ["http://gitlab.example.test", false, false],
    ["https://[::127.0.0.1]", false, false],
    ["https://[2001:0:1::1]", false, false],
    ["https://user@gitlab.example.test", false, false],
    ["https://gitlab.example.test?x", false, false],
    ["https://gitlab.example.test#x", false, false],
    ["file:///etc/passwd", false, false],
    ["https://10.0.0.1", false, true],
    ["https://192.168.1.1", false, true],
    ["https://127.0.0.1", false, true],
    ["https://2130706433", false, true],
    ["https://0x7f.1", false, true],
    ["https://localhost", false, true],
    ["https://[::1]", false, true],
    ["https://[fd12::1]", false, true],
    ["https://[::ffff:10.0.0.1]", false, true],
    ["http://127.0.0.1:8080", false, true],
    ["http://10.0.0.1", false, false],
    ["https://169.254.169.254", false, false],
    ["https://[::ffff:169.254.169.254]", false, false],
    ["https://[fe80::1]", false, false],
    ["https://[fd00:ec2::254]", false, false],
    ["https://0.0.0.0", false, false],
    ["https://[::]", false, false],
    ["https://[64:ff9b::a00:1]", false, false],
    ["https://224.0.0.1", false, false],
  ])("%s: %s, with private ones allowed %s", (url, byDefault, allowed) => {
    expect([urlFault(url, strict) === undefined, urlFault(url, loose) === undefined]).toEqual([byDefault, allowed]);
  });
});

describe("names of issuers", () => {
  const { signal } = new AbortController();

  test.each([
    ["127.0.0.1", false],
    ["10.0.0.1", false],
    ["::ffff:169.254.169.254", false],
    ["8.8.8.8", true],
  ])("one that stands for %s: may be asked %s, also beside others", async (address, expected) => {
    const found = ["1.1.1.1", address].map((each) => ({ address: each, family: each.includes(":") ? 6 : 4 }));
    const names = new IssuerNames({ bounds: { allowPrivate: false }, lookup: () => Promise.resolve(found) });
    const answer = await names.resolve("id.example.test", "one", signal).catch((error: Error) => error.message);
    expect(answer).toEqual(expected ? found : `id.example.test is at ${address}, which may not be asked`);
  });

  test("are resolved as the host does", async () => {
    const names = new IssuerNames({ bounds: { allowPrivate: true } });
    expect((await names.resolve("localhost", "one", signal)).map(({ address }) => address)).toEqual(
      expect.arrayContaining([expect.stringMatching(/^(127\.0\.0\.1|::1)$/)]),
    );
  });

  test("that nobody resolves take one thread for each organization and two in all, and whoever waits may give up", async () => {
    const answers = new Map<string, () => void>();
    const names = new IssuerNames({
      bounds: { allowPrivate: false },
      lookup: (name) =>
        new Promise((resolve) => {
          answers.set(name, () => resolve([{ address: "8.8.8.8", family: 4 }]));
        }),
    });
    const patience = new AbortController();
    const hanging = ["a1", "a2", "a3"].map((name) => names.resolve(name, "a", patience.signal).catch(String));
    const other = names.resolve("b1", "b", signal);
    await sleep(5);
    expect([...answers.keys()]).toEqual(["a1", "b1"]);
    const third = names.resolve("c1", "c", signal);
    patience.abort(new Error("too late"));
    expect(await Promise.all(hanging)).toEqual(["Error: too late", "Error: too late", "Error: too late"]);
    answers.get("b1")?.();
    expect(await other).toHaveLength(1);
    await sleep(5);
    // Nobody waits for a1 any more, and it has its thread yet.
    const again = names.resolve("a4", "a", signal);
    await sleep(5);
    expect([...answers.keys()]).toEqual(["a1", "b1", "c1"]);
    answers.get("c1")?.();
    await third;
    answers.get("a1")?.();
    await sleep(5);
    answers.get("a4")?.();
    expect(await again).toHaveLength(1);
  });
});

test.each([
  "https://token.actions.githubusercontent.com.evil.example",
  "https://token.actions.githubusercontent.com/",
  "https://token.actions.githubusercontent.com:443",
  "https://user@token.actions.githubusercontent.com",
  "https://TOKEN.actions.githubusercontent.com",
  "http://token.actions.githubusercontent.com",
  "token.actions.githubusercontent.com",
])("%s is not GitHub", (iss) => {
  const rule: FederationRule = {
    ...{ id: "1", name: "r", issuer: "https://token.actions.githubusercontent.com", audience: "attestry" },
    ...{ conditions: [{ claim: "repository", pattern: "acme/app" }], role: "ci", lifetimeSeconds: 60 },
    createdAt: new Date(),
  };
  const claims = { iss: rule.issuer, aud: "attestry", repository: "acme/app" };
  expect(matchingRule([rule], claims).rule).toBe(rule);
  expect(matchingRule([rule], { ...claims, iss }).rule).toBeUndefined();
});

describe("keys of an issuer", () => {
  const minuteMs = 60_000;

  async function world() {
    let now = 0;
    const fetch = jest.fn<() => Promise<unknown>>();
    const keys = new IssuerKeys({ fetch, logger, now: () => now });
    async function key(kid: string) {
      const { privateKey, publicKey } = await generateKeyPair("ES256");
      const jwk = { ...(await exportJWK(publicKey)), kid, alg: "ES256" };
      const token = await new SignJWT({}).setProtectedHeader({ alg: "ES256", kid }).sign(privateKey);
      return { jwk, token };
    }
    return {
      fetch,
      key,
      after: (ms: number) => {
        now += ms;
      },
      verify: (token: string) =>
        jwtVerify(token, keys.of("https://id.example.test", "one")).then(
          () => "ok",
          (error: { code: string }) => error.code,
        ),
    };
  }

  test("are fetched once for all that ask at once, and again after 10 min", async () => {
    const { fetch, key, after, verify } = await world();
    const { jwk, token } = await key("one");
    fetch.mockResolvedValue({ keys: [jwk] });
    expect(new Set(await Promise.all(Array.from({ length: 50 }, () => verify(token))))).toEqual(new Set(["ok"]));
    after(9 * minuteMs);
    await verify(token);
    expect(fetch).toHaveBeenCalledTimes(1);
    after(2 * minuteMs);
    await verify(token);
    expect(fetch).toHaveBeenCalledTimes(2);
  });

  test("a new one is found once the last fetch is 30 s ago, and unknown ones cost one fetch in that time", async () => {
    const { fetch, key, after, verify } = await world();
    const [first, second] = [await key("one"), await key("two")];
    fetch.mockResolvedValue({ keys: [first.jwk] });
    await verify(first.token);
    fetch.mockResolvedValue({ keys: [second.jwk] });
    expect(await verify(second.token)).toBe("ERR_JWKS_NO_MATCHING_KEY");
    expect(fetch).toHaveBeenCalledTimes(1);
    after(31_000);
    const unknown = (await key("unknown")).token;
    expect(await Promise.all(Array.from({ length: 20 }, () => verify(unknown)))).toEqual(
      Array.from({ length: 20 }, () => "ERR_JWKS_NO_MATCHING_KEY"),
    );
    expect(fetch).toHaveBeenCalledTimes(2);
    expect(await verify(second.token)).toBe("ok");
    expect(await verify(first.token)).toBe("ERR_JWKS_NO_MATCHING_KEY");
  });

  test("the last good ones count for a day while the issuer is down, and no longer", async () => {
    const { fetch, key, after, verify } = await world();
    const { jwk, token } = await key("one");
    fetch.mockResolvedValue({ keys: [jwk] });
    await verify(token);
    fetch.mockRejectedValue(new Error("down"));
    after(23 * 60 * minuteMs);
    expect(await verify(token)).toBe("ok");
    expect(await verify(token)).toBe("ok");
    expect(fetch).toHaveBeenCalledTimes(2);
    after(61 * minuteMs);
    expect(await verify(token)).toBe("ISSUER_UNAVAILABLE");
    fetch.mockResolvedValue({ keys: [jwk] });
    after(31_000);
    expect(await verify(token)).toBe("ok");
  });

  test("shared secrets and what is no JWK set are no keys", async () => {
    const { fetch, after, verify } = await world();
    const secret = new TextEncoder().encode("s".repeat(32));
    const token = await new SignJWT({}).setProtectedHeader({ alg: "HS256", kid: "one" }).sign(secret);
    fetch.mockResolvedValue({ keys: [{ kty: "oct", kid: "one", k: Buffer.from(secret).toString("base64url") }] });
    expect(await verify(token)).not.toBe("ok");
    for (const answer of [undefined, [], { keys: "x" }, { keys: Array.from({ length: 101 }, () => ({})) }]) {
      after(25 * 60 * minuteMs);
      fetch.mockResolvedValue(answer);
      expect(await verify(token)).toBe("ISSUER_UNAVAILABLE");
    }
  });

  test("that one organization brings push out its own, and never those of another", async () => {
    const fetched: string[] = [];
    const keys = new IssuerKeys({
      fetch: (issuer, organizationId) => {
        fetched.push(`${organizationId} ${issuer}`);
        return Promise.resolve({ keys: [] });
      },
      logger,
    });
    const ask = async (issuer: string, organizationId: string) => {
      const verified = jwtVerify(token, keys.of(issuer, organizationId));
      await expect(verified).rejects.toMatchObject({ code: "ERR_JWKS_NO_MATCHING_KEY" });
    };
    const { privateKey } = await generateKeyPair("ES256");
    const token = await new SignJWT({}).setProtectedHeader({ alg: "ES256", kid: "k" }).sign(privateKey);
    await ask("https://shared", "quiet");
    for (let i = 0; i < 600; i++) await ask(`https://${i}`, "loud");
    // Its own: the last 50 are there.
    for (const issuer of ["https://599", "https://550", "https://shared"]) await ask(issuer, "loud");
    await ask("https://shared", "quiet");
    expect(fetched).toHaveLength(601);
    await ask("https://549", "loud");
    expect(fetched.slice(601)).toEqual(["loud https://549"]);
  });
});
