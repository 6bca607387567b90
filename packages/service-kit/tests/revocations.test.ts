import { expect, jest, test } from "@jest/globals";
import { createAuthenticator, Revocations, reasonOf } from "../src/index.ts";
import { adminClaims, adminToken, keyrings, logger } from "./fake-module.ts";

const run = keyrings["workflow-run"];

test("unknown, known, recovered", async () => {
  let down = true;
  const revocations = new Revocations({
    fetch: () =>
      down
        ? Promise.reject(new Error("away"))
        : Promise.resolve({ tokenIds: ["t1"], expiresAtSeconds: [0n], nextCursor: 1n, more: false }),
    logger,
  });
  const authenticator = createAuthenticator({ keyring: run, revocations });
  const unknown = await authenticator.authenticate(`Bearer ${adminToken}`).catch((error: unknown) => error);
  expect(unknown).toMatchObject({ code: "REVOCATIONS_UNKNOWN", retryAfterMs: 3_000 });
  down = false;
  await expect(authenticator.authenticate(`Bearer ${adminToken}`)).rejects.toMatchObject({ code: "TOKEN_REVOKED" });
  const other = await run.issueApiToken({ ...adminClaims, tokenId: "t2" });
  expect((await authenticator.authenticate(`Bearer ${other}`)).kind).toBe("api");
  await revocations.destroy();
});

test("heard of once and then no more, they are unknown after a minute", async () => {
  let down = false;
  const revocations = new Revocations({
    fetch: () =>
      down
        ? Promise.reject(new Error("away"))
        : Promise.resolve({ tokenIds: [], expiresAtSeconds: [], nextCursor: 1n, more: false }),
    logger,
  });
  await revocations.check("t1");
  down = true;
  await revocations.check("t1");
  const now = performance.now();
  const later = jest.spyOn(performance, "now").mockReturnValue(now + 61_000);
  await expect(revocations.check("t1")).rejects.toMatchObject({ code: "REVOCATIONS_UNKNOWN" });
  later.mockRestore();
});

test("one is forgotten a day after its token ran out, and never if it does not or that is not known", async () => {
  const beganAt = Date.now();
  const hourMs = 3_600_000;
  const pages = [
    {
      tokenIds: ["short", "long", "endless"],
      expiresAtSeconds: [1, 240, 0].map((hours) => BigInt(hours && Math.ceil((beganAt + hours * hourMs) / 1_000))),
    },
    // Of an older workflow-run.
    { tokenIds: ["unknown"], expiresAtSeconds: [] },
  ];
  const revocations = new Revocations({
    fetch: (cursor) => {
      const page = pages[Number(cursor)] ?? { tokenIds: [], expiresAtSeconds: [] };
      return Promise.resolve({ ...page, nextCursor: cursor + 1n, more: Number(cursor) < pages.length });
    },
    logger,
  });
  const began = performance.now();
  const revokedAfter = async (hours: number) => {
    const clocks = [
      jest.spyOn(performance, "now").mockReturnValue(began + hours * hourMs),
      jest.spyOn(Date, "now").mockReturnValue(beganAt + hours * hourMs),
    ];
    // The first hears what there is and forgets; the others ask what is left.
    const ids = ["none", "short", "long", "endless", "unknown"];
    const answers: unknown[] = [];
    for (const id of ids) answers.push(await revocations.check(id).then(() => undefined, reasonOf));
    for (const clock of clocks) clock.mockRestore();
    return ids.filter((_, index) => answers[index] === "TOKEN_REVOKED");
  };
  expect(await revokedAfter(0)).toEqual(["short", "long", "endless", "unknown"]);
  expect(await revokedAfter(24)).toEqual(["short", "long", "endless", "unknown"]);
  expect(await revokedAfter(26)).toEqual(["long", "endless", "unknown"]);
  expect(await revokedAfter(24 * 365)).toEqual(["endless", "unknown"]);
});

test("the end does not wait for a fetch, even one that ignores its signal", async () => {
  const signals: AbortSignal[] = [];
  const revocations = new Revocations({
    fetch: (_cursor, signal) => {
      signals.push(signal);
      return new Promise(() => undefined);
    },
    logger,
  });
  revocations.start();
  const waiting = revocations.check("t1").catch(reasonOf);
  const began = Date.now();
  await revocations.destroy();
  expect(await waiting).toBe("REVOCATIONS_UNKNOWN");
  expect(Date.now() - began).toBeLessThan(1_000);
  expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
});
