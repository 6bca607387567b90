import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { chooseSeed } from "./src/fuzz.ts";
import { fuzzServer, storeNastyFiles } from "./src/server/fuzz-server.ts";
import { mostBytes, type Server, startServer } from "./src/server/standalone.ts";

jest.setTimeout(600_000);

const seed = chooseSeed();
const runs = 6_000;
let server: Server;

beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  process.stderr.write(`fuzz: ${runs} calls of a server, seed ${seed} (ATTESTRY_FUZZ_SEED=${seed} repeats it)\n`);
  await server?.stop();
});

test("every method answers whatever it is sent with OK or a reason, and a good call after it works", async () => {
  const outcomes = await fuzzServer(server, { seed, runs });
  await server.serves();
  expect(server.faults()).toEqual([]);
  // What never gets past the first check would prove little.
  expect(outcomes.get("OK") ?? 0).toBeGreaterThan(runs / 20);
  expect(outcomes.size).toBeGreaterThan(30);
});

test("each nasty file is stored or refused with a reason, and a good call after it works", async () => {
  await storeNastyFiles(server);
  await server.serves();
  expect(server.faults()).toEqual([]);
});

test("its memory stayed within the bound", async () => {
  expect((await server.peakBytes()) ?? 0).toBeLessThan(mostBytes);
});
