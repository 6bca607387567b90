import type { ServerResponse } from "node:http";
import { describe, expect, test } from "@jest/globals";
import { expectRefusal, refusal } from "./errors.ts";
import { useFederation } from "./federation-world.ts";
import { TestIssuer } from "./test-issuer.ts";

const world = useFederation();

/** What is not the issuer, and is read as if it was by those who look at a part of it. */
const lookAlikes: [what: string, change: (url: string) => string][] = [
  ["whose host goes on", (url) => url.replace(/:\d+$/, ".evil.example")],
  ["that has it as a user", (url) => `${url}@evil.example`],
  ["with a user", (url) => url.replace("//", "//evil@")],
  ["at another port", (url) => url.replace(/\d+$/, (port) => `${Number(port) ^ 1}`)],
  ["without its port", (url) => url.replace(/:\d+$/, "")],
  ["in upper case", (url) => url.toUpperCase()],
  ["of another protocol", (url) => url.replace("http:", "https:")],
  ["that has it in a query", (url) => `https://evil.example/?${url}`],
  ["with a space more", (url) => `${url} `],
];

describe("an ID token is refused", () => {
  const soon = () => Math.floor(Date.now() / 1_000);
  const bad: [what: string, token: () => Promise<string>][] = [
    ["with another audience", () => world.issuer.github({ aud: "sts.amazonaws.com" })],
    ["with an audience that only begins so", () => world.issuer.github({ aud: "attestry.evil.test" })],
    ["with a list of other audiences", () => world.issuer.github({ aud: ["sts.amazonaws.com", "attestry2"] })],
    ["with an empty list of audiences", () => world.issuer.github({ aud: [] })],
    ["with a list in the list of audiences", () => world.issuer.github({ aud: [["attestry"]] })],
    ["of another repository", () => world.issuer.github({ repository: "acme/app2" })],
    ["of a repository in another case", () => world.issuer.github({ repository: "Acme/app" })],
    ["of a tag", () => world.issuer.github({ ref: "refs/tags/v1" })],
    ["whose claim is a list", () => world.issuer.github({ repository: ["acme/app"] })],
    ["that ran out", () => world.issuer.github({ exp: soon() - 60 })],
    ["without end", () => world.issuer.github({ exp: undefined })],
    ["without iat", () => world.issuer.github({ iat: undefined })],
    ["without subject", () => world.issuer.github({ sub: undefined })],
    ["that begins later", () => world.issuer.github({ nbf: soon() + 600 })],
    ["made in the future", () => world.issuer.github({ iat: soon() + 600, exp: soon() + 900 })],
    ["of an issuer that no rule names", () => world.issuer.github({ iss: `${world.issuer.url}/acme` })],
    ["of an issuer with a slash more", () => world.issuer.github({ iss: `${world.issuer.url}/` })],
    ...lookAlikes.map(([what, change]): (typeof bad)[number] => [
      `of an issuer ${what}`,
      () => world.issuer.github({ iss: change(world.issuer.url) }),
    ]),
    [
      "with a key id that the issuer does not have",
      () => world.issuer.github({}, { ...world.issuer.key, kid: "none" }),
    ],
    ["signed by an RSA key of 1,024 bits", () => world.issuer.withSmallKey()],
    ["signed by one of two keys of the same id", signedByTwin],
    ["with alg none", async () => world.issuer.unsigned(await world.issuer.github())],
    ["with the public key as a secret", async () => world.issuer.withPublicKeyAsSecret(await world.issuer.github())],
    ["with another's signature", foreign],
    ["that is none", () => Promise.resolve("garbage")],
    ["that is empty", () => Promise.resolve("")],
    ["that is huge", async () => world.issuer.github({ padding: "x".repeat(20_000) })],
  ];
  test.each(bad)("%s", async (_what, token) => {
    await world.addRule();
    const before = (await world.admin.tokens.list({})).tokens.length;
    const refused = await refusal(world.exchange(await token()));
    expect(refused).toMatchObject({ code: "PermissionDenied", reason: "FEDERATION_REFUSED", retry: false });
    // No value of a claim or of the rule.
    expect(refused.message).not.toMatch(/acme|refs|amazonaws|evil/);
    expect((await world.admin.tokens.list({})).tokens).toHaveLength(before);
  });

  async function signedByTwin(): Promise<string> {
    const token = await world.issuer.github();
    await world.issuer.addTwin();
    return token;
  }

  async function foreign(): Promise<string> {
    const other = new TestIssuer();
    await other.start();
    const token = await other.github({ iss: world.issuer.url });
    await other.stop();
    return token;
  }

  test("by an organization that is not there as by one without a rule", async () => {
    const token = await world.issuer.github();
    const [absent, without] = [await refusal(world.exchange(token, "nobody")), await refusal(world.exchange(token))];
    expect(absent.message.replaceAll("nobody", world.organization)).toBe(without.message);
    expect({ ...absent, message: "" }).toEqual({ ...without, message: "" });
    expect(world.issuer.requests).toEqual([]);
  });
});

describe("an issuer", () => {
  test("below a path is asked there, and is another than what looks like it", async () => {
    const enterprise = new TestIssuer("/acme");
    await enterprise.start();
    await world.addRule({ issuer: enterprise.url });
    await world.exchange(await enterprise.github());
    expect(enterprise.requests.sort()).toEqual(["/acme/.well-known/openid-configuration", "/acme/jwks"]);
    for (const iss of [enterprise.url.replace("/acme", ""), `${enterprise.url}/`, `${enterprise.url}/x`]) {
      await expectRefusal(world.exchange(await enterprise.github({ iss })), "PermissionDenied", "FEDERATION_REFUSED");
    }
    await enterprise.stop();
  });

  test("with a name is asked at what that stands for", async () => {
    const named = new TestIssuer("", "localhost");
    await named.start();
    await world.addRule({ issuer: named.url });
    expect((await world.exchange(await named.github())).secret).not.toBe("");
    expect(named.requests.sort()).toEqual(["/.well-known/openid-configuration", "/jwks"]);
    await named.stop();
  });

  test("that rotated its key is asked anew; unknown keys make nobody ask more often", async () => {
    await world.addRule();
    const old = await world.issuer.github();
    await world.exchange(old);
    await world.issuer.rotate();
    const tokens = await Promise.all(Array.from({ length: 20 }, () => world.issuer.github()));
    // The keys are not 30 s old.
    for (const token of tokens) await expectRefusal(world.exchange(token), "PermissionDenied", "FEDERATION_REFUSED");
    expect(world.issuer.requests).toHaveLength(2);
  });

  type Answer = (response: ServerResponse) => unknown;
  const wrong: [what: string, answer: Answer][] = [
    ["that fails", (response) => response.writeHead(500).end()],
    ["that sends elsewhere", (response) => response.writeHead(302, { location: `${world.issuer.url}/x` }).end()],
    ["that sends no JSON", (response) => response.end("<html>")],
    ["that sends half of it", (response) => response.end('{"keys":[')],
    ["that sends too much", (response) => response.end(`"${"x".repeat(1_000_000)}"`)],
    ["that sends too much without end", (response) => drip(response, "x".repeat(50_000), 10)],
    ["that sends a byte now and then", (response) => drip(response, " ", 500)],
    ["that hangs", () => undefined],
  ];
  const wrongDiscovery: typeof wrong = [
    ["that calls itself otherwise", (response) => response.end(JSON.stringify({ issuer: "https://other.test" }))],
    [
      "whose keys are elsewhere",
      (response) => response.end(JSON.stringify({ issuer: world.issuer.url, jwks_uri: "http://127.0.0.2:1/jwks" })),
    ],
    [
      "whose keys are at a user of itself",
      (response) =>
        response.end(
          JSON.stringify({ issuer: world.issuer.url, jwks_uri: `${world.issuer.url.replace("//", "//u@")}/jwks` }),
        ),
    ],
  ];
  const wrongKeys: typeof wrong = [
    ["that sends no set", (response) => response.end("[]")],
    ["that sends more than 100 keys", (response) => response.end(JSON.stringify({ keys: Array(101).fill({}) }))],
  ];
  const cases = [
    ...[...wrong, ...wrongDiscovery].map((each) => ["discovery", 1, ...each] as const),
    ...[...wrong, ...wrongKeys].map((each) => ["keys", 2, ...each] as const),
  ];
  test.each(cases)(
    "(%s, request %i) %s is unavailable, and is left alone for a while",
    async (_of, nth, _what, answer) => {
      await world.addRule();
      world.issuer.answer = (_request, response) => {
        if (world.issuer.requests.length < nth) return false;
        answer(response);
        return true;
      };
      const token = await world.issuer.github();
      for (let turn = 0; turn < 3; turn++) {
        expect(await refusal(world.exchange(token))).toMatchObject({
          reason: "ISSUER_UNAVAILABLE",
          code: "Unavailable",
          retry: true,
        });
      }
      expect(world.issuer.requests).toHaveLength(nth);
    },
  );

  function drip(response: ServerResponse, text: string, everyMs: number): void {
    const timer = setInterval(() => response.write(text), everyMs);
    response.on("close", () => clearInterval(timer));
  }

  test("that is down is unavailable", async () => {
    await world.addRule();
    const token = await world.issuer.github();
    await world.issuer.stop();
    expect(await refusal(world.exchange(token))).toMatchObject({ reason: "ISSUER_UNAVAILABLE", retry: true });
    await world.issuer.start();
  });
});
