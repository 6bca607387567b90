import { matchesPattern } from "@attestry/bundle";
import { createLogger } from "@attestry/service-kit";
import { describe, expect, jest, test } from "@jest/globals";
import { exportJWK, generateKeyPair, jwtVerify, SignJWT } from "jose";
import { ExchangeCounts } from "../src/federation/exchange-counts.ts";
import { issuerLookup, urlFault } from "../src/federation/issuer-address.ts";
import { IssuerKeys } from "../src/federation/issuer-keys.ts";
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

  test("a name is judged by what it stands for", async () => {
    const resolve = (bounds: { allowPrivate: boolean }) =>
      new Promise<string>((done) => {
        issuerLookup(bounds)("localhost", { all: true }, (error) => done(error?.message ?? "connects"));
      });
    expect(await resolve(strict)).toMatch(/^localhost is at (127\.0\.0\.1|::1), which may not be asked$/);
    expect(await resolve(loose)).toBe("connects");
  });
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
        jwtVerify(token, keys.of("https://id.example.test")).then(
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
});
