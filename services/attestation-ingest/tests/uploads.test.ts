import { UploadState } from "@attestry/api/ingest";
import { StorageMode } from "@attestry/api/run";
import { DomainError } from "@attestry/service-kit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import {
  bundleOf,
  createTestIngest,
  digestOf,
  eventually,
  refusal,
  storeOne,
  type TestIngest,
  uploadOf,
  withWorker,
} from "./harness.ts";

let ingest: TestIngest;

beforeAll(async () => {
  ingest = await createTestIngest();
});
afterAll(() => ingest.destroy());
afterEach(async () => {
  ingest.gateway.recover();
  ingest.run.beforeToken = () => undefined;
  ingest.run.storageMode = StorageMode.UNSPECIFIED;
  await ingest.database.query("delete from attestation");
});

describe("the upload queue", () => {
  test("is worked off, and each upload is confirmed", async () => {
    const backendId = ingest.run.useExternal();
    const bundles = Array.from({ length: 40 }, () => bundleOf());
    const runs = await Promise.all(bundles.map((bundle) => storeOne(ingest, bundle)));
    await withWorker(ingest, async () => {
      await eventually(async () => {
        const { rows } = await ingest.database.query("select state, count(*)::int as n from upload group by 1");
        return rows.length === 1 && rows[0].state === "confirmed" && rows[0].n === runs.length;
      }, "all confirmed");
    });
    for (const bundle of bundles) {
      expect(ingest.gateway.blobs.get(`${backendId}:${digestOf(bundle)}`)?.equals(bundle)).toBe(true);
    }
    const read = await ingest.attestations.get({ by: { case: "runId", value: runs[0] ?? "" } });
    expect(read.attestation?.uploads).toEqual([expect.objectContaining({ backendId, state: UploadState.CONFIRMED })]);
  });

  test("asks for one token for what it claims together", async () => {
    ingest.run.useExternal();
    await Promise.all(Array.from({ length: 7 }, () => storeOne(ingest)));
    await storeOne(ingest, bundleOf({ pad: 5_000 }));
    const tokens = ingest.run.calls.token;
    const asked: bigint[] = [];
    ingest.run.beforeToken = ({ purpose }) => {
      if (purpose.case === "service") asked.push(purpose.value.maxBytes);
    };
    const largest = "select max(size_bytes)::int as size from upload";
    await withWorker(ingest, async () => {
      await eventually(async () => {
        const { rows } = await ingest.database.query("select count(*)::int as n from upload where state = 'confirmed'");
        return rows[0].n === 8;
      }, "all confirmed");
    });
    expect(ingest.run.calls.token - tokens).toBe(1);
    expect(asked).toEqual([BigInt((await ingest.database.query(largest)).rows[0].size)]);
  });

  test("a lease that ran out is claimed again, one that has not is left alone", async () => {
    ingest.run.useExternal();
    const dead = await storeOne(ingest);
    const living = await storeOne(ingest);
    const lease =
      "update upload set lease_owner = gen_random_uuid(), lease_until = now() + $2::interval where run_id = $1";
    await ingest.database.query(lease, [dead, "300 ms"]);
    await ingest.database.query(lease, [living, "1 hour"]);
    await withWorker(ingest, async (worker) => {
      await eventually(
        async () => (await uploadOf(ingest, dead)).state === "confirmed",
        "the dead worker's upload is confirmed",
      );
      expect(await worker.metric("attestry_ingest_upload_leases_ended_total")).toBe(1);
    });
    expect((await uploadOf(ingest, living)).state).toBe("pending");
  });

  test("a worker that is told to stop gives back what it holds", async () => {
    ingest.run.useExternal();
    const runId = await storeOne(ingest);
    ingest.gateway.beforeWrite = () => new Promise((resolve) => setTimeout(resolve, 3_000));
    await withWorker(ingest, async () => {
      await eventually(async () => (await uploadOf(ingest, runId)).lease_owner !== null, "claimed");
    });
    expect(await uploadOf(ingest, runId)).toMatchObject({ state: "pending", lease_owner: null, attempts: 0 });
  });

  test("a digest that gc is at is not claimed", async () => {
    const backendId = ingest.run.useExternal();
    const bundle = bundleOf();
    const runId = await storeOne(ingest, bundle);
    const other = await storeOne(ingest);
    await ingest.database.query(
      `insert into intent (organization_id, backend_id, digest, state, gc_owner, gc_until)
       values ($1, $2, $3, 'deleting', gen_random_uuid(), now() + interval '5 min')`,
      [ingest.organizationId, backendId, Buffer.from(digestOf(bundle).slice(7), "hex")],
    );
    await withWorker(ingest, async () => {
      await eventually(async () => (await uploadOf(ingest, other)).state === "confirmed", "the other one is confirmed");
      expect((await uploadOf(ingest, runId)).state).toBe("pending");
      await ingest.database.query("delete from intent");
      await eventually(async () => (await uploadOf(ingest, runId)).state === "confirmed", "confirmed once gc is done");
    });
  });

  test("a dead backend fills no batch; when it works again, all that waited is due at once", async () => {
    const good = ingest.run.useExternal();
    const dead = ingest.run.useExternal();
    ingest.gateway.beforeWrite = (key) => {
      if (key.startsWith(dead)) throw new DomainError("BACKEND_UNAVAILABLE", "away");
    };
    const waiting = await Promise.all(Array.from({ length: 30 }, () => storeOne(ingest)));
    ingest.run.backend = { ...ingest.run.backend, id: good };
    const backends = new Map<string, string>();
    ingest.run.beforeToken = ({ purpose }) => {
      if (purpose.case === "service") ingest.run.backend = { ...ingest.run.backend, id: purpose.value.backendId };
      backends.set(ingest.run.backend.id, "asked");
    };
    const fine = await Promise.all(Array.from({ length: 10 }, () => storeOne(ingest)));
    await withWorker(ingest, async (worker) => {
      await eventually(async () => {
        const { rows } = await ingest.database.query(
          "select count(*)::int as n from upload where backend_id = $1 and state = 'confirmed'",
          [good],
        );
        return rows[0].n === fine.length;
      }, "the good backend has its uploads");
      const { rows } = await ingest.database.query(
        "select count(*) filter (where attempts > 0)::int as tried from upload where backend_id = $1",
        [dead],
      );
      expect(rows[0].tried).toBeLessThan(waiting.length);

      ingest.gateway.recover();
      await eventually(async () => {
        const confirmed = await ingest.database.query(
          "select count(*)::int as n from upload where backend_id = $1 and state = 'confirmed'",
          [dead],
        );
        return confirmed.rows[0].n === waiting.length;
      }, "the dead backend has its uploads too");
      expect(await worker.metric("attestry_ingest_upload_leases_ended_total")).toBe(0);
      expect(await worker.metric("attestry_ingest_uploads_made_due_total")).toBeGreaterThan(0);
    });
  });

  test("what fails is shown with its error, given up after its time, and due again by Retry", async () => {
    ingest.run.useExternal();
    const bundle = bundleOf();
    const runId = await storeOne(ingest, bundle);
    await ingest.database.query(
      "update upload set state = 'failing', attempts = 1, trying_since = now() - interval '8 days' where run_id = $1",
      [runId],
    );
    ingest.gateway.breakDown();
    await withWorker(ingest, async () => {
      await eventually(async () => (await uploadOf(ingest, runId)).state === "given_up", "given up");
    });
    const listed = await ingest.uploads.list({});
    expect(listed.uploads).toEqual([
      expect.objectContaining({ runId, state: UploadState.GIVEN_UP, attempts: 2, digest: digestOf(bundle) }),
    ]);
    expect(listed.uploads[0]?.lastError).toContain("the store does not answer");
    expect((await ingest.uploads.list({ state: UploadState.PENDING })).uploads).toEqual([]);

    expect(await ingest.uploads.retry({ which: { case: "digest", value: digestOf(bundle) } })).toMatchObject({
      retried: 1,
    });
    ingest.gateway.recover();
    await withWorker(ingest, async () => {
      await eventually(async () => (await uploadOf(ingest, runId)).state === "confirmed", "confirmed after Retry");
    });
    expect((await ingest.uploads.list({})).uploads).toEqual([]);
    expect((await ingest.uploads.list({ state: UploadState.CONFIRMED })).uploads).toHaveLength(1);
  });

  test("what the organization's rate holds back is no failure, however long: it waits as it is told to and is never given up", async () => {
    ingest.run.useExternal();
    const runId = await storeOne(ingest);
    await ingest.database.query(
      "update upload set state = 'failing', attempts = 1, trying_since = now() - interval '8 days' where run_id = $1",
      [runId],
    );
    const retryAfterMs = 400;
    const triedAt: number[] = [];
    ingest.gateway.beforeWrite = () => {
      if (triedAt.push(performance.now()) > 3) return;
      throw new DomainError("RATE_LIMITED", "more than 1 requests a second of this organization", { retryAfterMs });
    };
    await withWorker(ingest, async () => {
      await eventually(async () => (await uploadOf(ingest, runId)).state === "confirmed", "confirmed");
    });
    expect(triedAt).toHaveLength(4);
    const waits = triedAt.slice(1).map((at, index) => at - (triedAt[index] ?? 0));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(retryAfterMs - 5);
    // The one before, and the one that worked.
    expect((await ingest.uploads.list({ state: UploadState.CONFIRMED })).uploads[0]?.attempts).toBe(2);
  });

  test("a failure is never written over a confirmation, nor by a worker that lost its lease", async () => {
    ingest.run.useExternal();
    const runId = await storeOne(ingest);
    ingest.gateway.beforeWrite = async () => {
      await ingest.database.query("update upload set state = 'confirmed', confirmed_at = now() where run_id = $1", [
        runId,
      ]);
      throw new DomainError("BACKEND_UNAVAILABLE", "away");
    };
    await withWorker(ingest, async () => {
      await eventually(async () => (await uploadOf(ingest, runId)).state === "confirmed", "confirmed by another");
    });
    expect(await uploadOf(ingest, runId)).toMatchObject({ state: "confirmed" });
  });
});

describe("Retry", () => {
  test("of an unknown digest, and of nothing, is refused", async () => {
    const unknown = `sha256:${"0".repeat(64)}`;
    expect(await refusal(ingest.uploads.retry({ which: { case: "digest", value: unknown } }))).toBe(
      "ATTESTATION_NOT_FOUND",
    );
    expect(await refusal(ingest.uploads.retry({}))).toBe("REQUEST_INVALID");
    expect(await refusal(ingest.uploads.retry({ which: { case: "digest", value: "sha256:XY" } }))).toBe(
      "DIGEST_INVALID",
    );
  });
});

describe("spool", () => {
  test("the bytes leave the row once every upload is confirmed, and are read from the backend", async () => {
    ingest.run.storageMode = StorageMode.SPOOL;
    ingest.run.useExternal();
    const bundle = bundleOf();
    const runId = await storeOne(ingest, bundle);
    await withWorker(ingest, async () => {
      await eventually(async () => {
        const { rows } = await ingest.database.query("select bundle from attestation where run_id = $1", [runId]);
        return rows[0].bundle === null;
      }, "pruned");
    });
    expect((await uploadOf(ingest, runId)).state).toBe("confirmed");
    const reader = await ingest.replica();
    const read = await reader.attestations.get({ by: { case: "runId", value: runId } });
    expect(Buffer.compare(read.bundle, bundle)).toBe(0);
    expect(await reader.metric("attestry_ingest_bundle_reads_total", { source: "cas" })).toBe(1);
  });

  test("nothing is pruned before its upload is confirmed, nor in mode database", async () => {
    ingest.run.storageMode = StorageMode.SPOOL;
    ingest.run.useExternal();
    ingest.gateway.breakDown();
    const spooled = await storeOne(ingest);
    ingest.run.storageMode = StorageMode.DATABASE;
    const kept = await storeOne(ingest);
    await withWorker(ingest, async () => {
      await eventually(async () => (await uploadOf(ingest, spooled)).attempts > 0, "tried");
      await new Promise((resolve) => setTimeout(resolve, 300));
    });
    const { rows } = await ingest.database.query(
      "select from attestation where run_id = any($1) and bundle is not null",
      [[spooled, kept]],
    );
    expect(rows).toHaveLength(2);
  });
});
