import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { type ClaimOptions, Uploads } from "../src/db/uploads.ts";
import { createTestIngest, storeOne, type TestIngest } from "./harness.ts";

let ingest: TestIngest;
let uploads: Uploads;
let backendId: string;

beforeAll(async () => {
  ingest = await createTestIngest();
  uploads = new Uploads(ingest.database);
});
afterAll(() => ingest.destroy());
afterEach(() => ingest.database.query("delete from attestation"));

/** As many rows as said, of a backend that no test had before, all put off or all due. */
async function waiting(count: number, state: "put off" | "due"): Promise<void> {
  backendId = ingest.run.useExternal();
  for (let n = 0; n < count; n++) await storeOne(ingest);
  if (state === "put off") {
    await ingest.database.query("update upload set state = 'failing', next_attempt_at = now() + interval '1 hour'");
  }
}

/** How many rows one more worker gets, each of which would take four of a backend that it knows nothing of. */
async function claimed(options: Partial<ClaimOptions>): Promise<number> {
  const worker = {
    owner: randomUUID(),
    leaseMs: 60_000,
    limit: 10,
    perBackend: 4,
    reserved: 0,
    probeMs: 60_000,
    rooms: [],
  };
  return (await uploads.claim({ ...worker, probe: false, ...options })).length;
}

const broken = (): Partial<ClaimOptions> => ({ rooms: [{ backendId, room: 1, probe: true, underWay: 0 }] });
const unknown = { probe: true, perBackend: 1 };

async function probeIsOver(): Promise<void> {
  await ingest.database.query("update upload_probe set next_at = now() - interval '1 second'");
}

describe("probes of a backend", () => {
  test("of those who know it as broken one may, also if its rows are due", async () => {
    await waiting(5, "due");
    expect(await claimed(broken())).toBe(1);
    expect(await claimed(broken())).toBe(0);
    await probeIsOver();
    expect(await claimed(broken())).toBe(1);
  });

  test("of those who know nothing of it one may take what is not due; the others take what is", async () => {
    await waiting(5, "put off");
    expect(await claimed(unknown)).toBe(1);
    expect(await claimed(unknown)).toBe(0);
    expect(await claimed(broken())).toBe(0);
    await ingest.database.query("update upload set next_attempt_at = now() - interval '1 second'");
    expect(await claimed(unknown)).toBe(1);
    expect(await claimed({})).toBe(3);
  });

  test("many that ask at once: one may", async () => {
    await waiting(8, "put off");
    const each = await Promise.all(Array.from({ length: 8 }, () => claimed(broken())));
    expect(each.filter((rows) => rows > 0)).toEqual([1]);
  });

  test("when it works for one, the next may find that out at once", async () => {
    await waiting(5, "put off");
    expect(await claimed(broken())).toBe(1);
    expect(await uploads.makeDue(backendId)).toBe(5);
    expect(await claimed(broken())).toBe(1);
    expect(await claimed(broken())).toBe(0);
  });

  test("a claim that probes nothing notes nothing", async () => {
    await waiting(2, "due");
    await ingest.database.query("delete from upload_probe");
    expect(await claimed({})).toBe(2);
    expect((await ingest.database.query("select from upload_probe")).rowCount).toBe(0);
  });
});
