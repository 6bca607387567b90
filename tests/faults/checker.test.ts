import { randomBytes } from "node:crypto";
import { RunState } from "@attestry/api/run";
import { describeWith, minioClient } from "@attestry/dev-env";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { bucket } from "./src/blobs-in-store.ts";
import { check } from "./src/checker.ts";
import { type Entry, newEntry, startLoad, untilStored } from "./src/load.ts";
import { startWorld, type World } from "./src/world.ts";

jest.setTimeout(240_000);

describeWith(["redis", "minio"], "the checker", () => {
  let world: World;
  let entries: Entry[];

  beforeAll(async () => {
    world = await startWorld("false");
    const load = startLoad(world, { cancels: true });
    await untilStored(load, 60);
    ({ entries } = await load.stop());
  });
  afterAll(() => world?.stop());

  test("has nothing to say of a load that nobody disturbed", async () => {
    const verdict = await check(world, entries);
    expect(verdict).toMatchObject({ lost: [], halfStored: [], mendedByClient: 0 });
    expect(entries.some(({ cancel }) => cancel === "ok")).toBe(true);
  });

  // All of them at once: each is reported for its own run, and nothing else is.
  test("reports whatever is broken by hand", async () => {
    const ok = entries.filter(({ answer, cancel }) => answer === "ok" && cancel === "none");
    const next = () => {
      const entry = ok.pop();
      if (entry === undefined) throw new Error("the load was too short");
      return entry;
    };
    const broken = {
      rowGone: next(),
      blobGone: next(),
      blobOther: next(),
      bytesOther: next(),
      cancelled: next(),
      notConfirmed: next(),
      orphan: next(),
      unknown: next(),
      twice: next(),
      wasOther: next(),
      wasCancelled: next(),
      endedAnew: entries.find(({ answer, cancel }) => answer === "none" && cancel === "ok") ?? newEntry(""),
    };
    await world.query(`delete from attestation where run_id = '${broken.rowGone.runId}'`);
    await breakBlobs(broken.blobGone, broken.blobOther);
    const untold = await addBlob();
    await world.query(
      `update attestation set bundle = set_byte(bundle, 3, get_byte(bundle, 3) # 1)
       where run_id = '${broken.bytesOther.runId}'`,
    );
    await world.query(
      `update run set state = 'cancelled', attestation_digest = null where id = '${broken.cancelled.runId}'`,
      "run",
    );
    await world.query(
      `update upload set state = 'given_up', confirmed_at = null where run_id = '${broken.notConfirmed.runId}'`,
    );
    await world.query(
      `set session_replication_role = replica;
       insert into upload (id, organization_id, attestation_id, run_id, backend_id, digest, size_bytes, state, confirmed_at)
       select gen_random_uuid(), organization_id, gen_random_uuid(), run_id, backend_id, digest, size_bytes, 'confirmed', now()
       from attestation where run_id = '${broken.orphan.runId}'`,
    );
    broken.wasOther.seen.add(RunState.EXPIRED);
    broken.wasCancelled.cancel = "ok";
    await world.query(
      `update run set state = 'success', attestation_digest = sha256('') where id = '${broken.endedAnew.runId}'`,
      "run",
    );
    const second: Entry = { ...newEntry(broken.twice.runId), answer: "ok" };
    const known = [...entries.filter((entry) => entry !== broken.unknown), second];

    const { lost, halfStored } = await check(world, known, 1_000);
    const reported = [...lost, ...halfStored].map((fault) => fault.replace(/ \(told: .*?\):/, ":"));
    const hexOf = ({ digest }: Entry) => digest.slice("sha256:".length);
    const about = ({ runId }: Entry, what: string) => `run ${runId}: ${what}`;
    const late = 'not mended within 1 s: {"rows":0,"uploads":1,"spooled":0}';
    const { rowGone, blobGone, blobOther, endedAnew } = broken;
    expect(reported.sort()).toEqual(
      [
        ...[late, late],
        about(rowGone, `[not_found] this organization has no attestation of the run ${rowGone.runId}`),
        about(blobGone, `the store has undefined bytes of ${blobGone.bundle.length}`),
        about(blobGone, "an upload is confirmed, and the store lacks it"),
        about(blobOther, "the store has other bytes"),
        about(broken.bytesOther, "the row has other bytes"),
        about(broken.cancelled, "its run is CANCELLED with "),
        about(broken.orphan, "an upload for nothing"),
        about(broken.unknown, `a row with ${hexOf(broken.unknown)}, which nobody stored for it`),
        about(broken.twice, "other bytes came back"),
        about(broken.twice, `a row with ${hexOf(broken.twice)}, which nobody stored for it`),
        about(broken.wasOther, "its run was seen as EXPIRED, and is SUCCESS"),
        about(broken.wasCancelled, "its run was cancelled, and is a success"),
        ...[untold, hexOf(rowGone)].map((hex) => `blob ${hex}: neither a row nor an intent`),
        about(endedAnew, "there is no attestation, and its run is SUCCESS, of which Cancel: ok"),
      ].sort(),
    );
  });

  function client(): ReturnType<typeof minioClient> {
    const { minio } = world.constellation.servers;
    if (minio === undefined) throw new Error("this world has no MinIO");
    return minioClient(minio);
  }

  async function addBlob(): Promise<string> {
    const hex = randomBytes(32).toString("hex");
    await client().putObject(bucket, `bundles/${hex}`, Buffer.alloc(1));
    return hex;
  }

  async function breakBlobs(gone: Entry, other: Entry): Promise<void> {
    const blobs = await world.stored();
    const keyOf = ({ digest }: Entry) => blobs.get(digest.slice("sha256:".length))?.key ?? "";
    await client().removeObject(bucket, keyOf(gone));
    await client().putObject(bucket, keyOf(other), Buffer.alloc(other.bundle.length));
  }
});
