import { StorageMode } from "@attestry/api/run";
import { firstIdAt } from "@attestry/service-kit";
import type { ServiceConfig } from "../src/index.ts";
import { bundleOf, createTestIngest, digestOf, eventually, refusal, storeOne, type TestIngest } from "./harness.ts";

const daySeconds = 24 * 3_600;
export const deletedAtOnce = { retentionGraceMs: 0 };

export interface RetentionTest {
  ingest: TestIngest;
  /** External; the mode is cas unless a test says otherwise. */
  backendId: string;
  /** What the organization, or another one, keeps in days; 0: no bound. */
  keepFor(bounds: { atLeast?: number; atMost: number }, organizationId?: string): void;
  /** Lets so many days pass for the attestation. */
  age(runId: string, days: number): Promise<void>;
  /** Stores an attestation, and lets so many days pass. Its run. */
  storedBefore(days: number, bundle?: Buffer): Promise<string>;
  /** So many more attestations like the run's, of runs of their own. */
  copies(runId: string, count: number): Promise<void>;
  /** At least two whole rounds of a worker. */
  sweep(config?: Partial<ServiceConfig>): Promise<void>;
  /** Of the run's attestation; undefined if there is none. */
  row(runId: string): Promise<{ id: string; expired_at: Date | null } | undefined>;
  intents(): Promise<{ state: string; retired: boolean }[]>;
  /** The intents were left so long ago that gc may take them. */
  ageIntents(): Promise<void>;
  /** Of the audit log about the run's attestation, oldest first. */
  actions(runId: string): Promise<string[]>;
  /** Of the blob in the gateway. */
  key(bundle: Buffer): string;
  /** How Get by the run is refused; undefined if it is not. */
  get(runId: string): Promise<string | undefined>;
  /** After each test. */
  clear(): Promise<void>;
}

/** A service whose time the tests move. */
export async function createRetentionTest(): Promise<RetentionTest> {
  const ingest = await createTestIngest();
  const { run, gateway, database } = ingest;
  const backendId = run.useExternal();
  run.storageMode = StorageMode.CAS;

  async function age(runId: string, days: number): Promise<void> {
    const { rows } = await database.query("select id, stored_at from attestation where run_id = $1", [runId]);
    // An id begins with its time.
    const time = rows[0].stored_at.getTime() - days * daySeconds * 1_000;
    await database.query(
      `update attestation set id = $2, stored_at = stored_at - $3 * interval '1 day',
              retain_until = retain_until - $3 * interval '1 day' where run_id = $1`,
      [runId, firstIdAt(time).slice(0, 13) + rows[0].id.slice(13), days],
    );
  }

  return {
    ingest,
    backendId,
    keepFor({ atLeast = 0, atMost }, organizationId = ingest.organizationId) {
      run.retention.set(organizationId, { atLeast: atLeast * daySeconds, atMost: atMost * daySeconds });
    },
    age,
    async storedBefore(days, bundle = bundleOf()) {
      const runId = await storeOne(ingest, bundle);
      await age(runId, days);
      return runId;
    },
    async copies(runId, count) {
      const same = `organization_id, workflow_id, project, workflow, backend_id, digest, size_bytes, media_type,
        predicate_type, subjects, mode, bundle, received_at, stored_at, plan_given_at, visible`;
      await database.query(
        `insert into attestation (id, run_id, ${same})
         select overlay(id::text placing lpad(to_hex(n), 12, '0') from 25)::uuid, gen_random_uuid(), ${same}
         from attestation, generate_series(1, $2) n where run_id = $1`,
        [runId, count],
      );
    },
    async sweep(config = {}) {
      const enough = run.calls.organizations + 3 * Math.max(1, run.retention.size);
      const worker = await ingest.replica({ retentionEveryMs: 20, ...config });
      await worker.start();
      await eventually(() => run.calls.organizations >= enough, "rounds of retention");
      await worker.stop();
    },
    async row(runId) {
      return (await database.query("select * from attestation where run_id = $1", [runId])).rows[0];
    },
    async intents() {
      return (await database.query("select state, retired from intent")).rows;
    },
    async ageIntents() {
      await database.query("update intent set touched = touched - interval '25 hours'");
    },
    async actions(runId) {
      const { rows } = await database.query(
        "select action from audit_event where detail ->> 'run_id' = $1 order by number",
        [runId],
      );
      return rows.map(({ action }) => action);
    },
    key: (bundle) => `${backendId}:${digestOf(bundle)}`,
    get: (runId) => refusal(ingest.attestations.get({ by: { case: "runId", value: runId } })),
    async clear() {
      gateway.recover();
      gateway.blobs.clear();
      run.retention.clear();
      run.beforeOrganizations = () => undefined;
      run.beforePolicy = () => undefined;
      run.storageMode = StorageMode.CAS;
      await database.query("delete from attestation");
      await database.query("delete from intent");
    },
  };
}
