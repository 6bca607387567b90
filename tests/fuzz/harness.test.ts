import http from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { BundleError } from "@attestry/bundle";
import { DomainError } from "@attestry/service-kit";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { fuzz } from "./src/fuzz.ts";
import { expectAnswer } from "./src/server/answer.ts";
import { httpCall } from "./src/server/http-call.ts";
import { outcomeOf } from "./src/target.ts";

describe("a fuzzer that finds nothing would have found", () => {
  const runs = 1_000;
  const broken = fc.asyncProperty(fc.string(), async (text) => {
    if (text.length > 3) throw new TypeError("not a function");
  });

  test("what breaks: the seed is told, the input is made small, and the cause is kept", async () => {
    const failure = await fuzz({ name: "broken", runs, property: broken }, 7).catch((error: unknown) => error as Error);
    expect(failure).toMatchObject({
      message: expect.stringMatching(/^broken: case \d+ of seed 7 failed \(ATTESTRY_FUZZ_SEED=7 repeats it\)/),
      cause: expect.objectContaining({ message: "not a function" }),
    });
    expect((failure as Error).message).toMatch(/"....?"$/);
  });

  test("the same seed gives the same cases", async () => {
    const seen: string[][] = [[], []];
    for (const cases of seen) {
      const property = fc.asyncProperty(fc.string(), async (text) => void cases.push(text));
      await fuzz({ name: "seen", runs, property }, 11);
    }
    expect(seen[0]).toHaveLength(runs);
    expect(seen[0]).toEqual(seen[1]);
  });

  const faults: [what: string, thrown: unknown][] = [
    ["a bug", new TypeError("not a function")],
    ["what is no error", "text"],
    ["INTERNAL", new DomainError("INTERNAL", "internal")],
    ["a reason that is none of ours", new BundleError("SOMETHING" as never, "something")],
  ];
  test.each(faults)("%s is no refusal", async (_what, thrown) => {
    await expect(outcomeOf(() => Promise.reject(thrown))).rejects.toThrow();
  });

  test("a refusal is one, and success too", async () => {
    const refused = new DomainError("NAME_INVALID", "no name");
    expect(await outcomeOf(() => Promise.reject(refused))).toBe("NAME_INVALID");
    expect(await outcomeOf(() => 1)).toBe("taken");
  });

  test("what keeps the thread busy for too long is found", async () => {
    const busy = () => {
      const began = process.threadCpuUsage().user;
      while (process.threadCpuUsage().user - began < 1_100_000);
    };
    await expect(outcomeOf(busy)).rejects.toThrow(/took \d+ ms/);
  });

  test("what is answered late each time is found, whoever was busy", async () => {
    const answer = { reason: undefined, fault: undefined };
    const late = () => sleep(1_050).then(() => answer);
    let busy = 0;
    await expect(expectAnswer(late, async () => undefined)).rejects.toThrow("in 4 attempts");
    await expect(expectAnswer(late, async () => (busy += 1_001))).rejects.toThrow("1001 of them its own");
    // The server had little of that time: others had it.
    await expect(expectAnswer(late, async () => (busy += 10))).resolves.toBeUndefined();
  });

  const answers: [what: string, status: number, body: string, isFault: boolean][] = [
    ["INTERNAL", 500, JSON.stringify({ code: "internal", message: "bug", details: [infoOf("INTERNAL")] }), true],
    ["no reason", 400, JSON.stringify({ code: "invalid_argument", message: "so" }), true],
    ["a bare text", 503, "gone", true],
    [
      "a refusal",
      400,
      JSON.stringify({ code: "invalid_argument", message: "so", details: [infoOf("NAME_INVALID")] }),
      false,
    ],
    ["OK", 200, "{}", false],
  ];
  test.each(answers)("an answer with %s over HTTP", async (_what, status, body, isFault) => {
    const server = http.createServer((_request, response) => {
      response.writeHead(status, { "content-type": "application/json" }).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const call = { method: "POST", path: "/attestry.run.v1.RunService/Get", headers: {}, body: Buffer.alloc(0) };
    try {
      const answered = expectAnswer(
        () => httpCall(url, call),
        async () => undefined,
      );
      if (isFault) await expect(answered).rejects.toThrow();
      else await expect(answered).resolves.toBe(status === 200 ? undefined : "NAME_INVALID");
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

/** `google.rpc.ErrorInfo` as Connect writes it: the bytes count, and field 1 of them is the reason. */
function infoOf(reason: string): object {
  const value = Buffer.concat([Buffer.from([0x0a, reason.length]), Buffer.from(reason)]).toString("base64");
  return { type: "google.rpc.ErrorInfo", value };
}
