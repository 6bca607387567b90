import { type Digest, digestBytes, digestFromBytes } from "@attestry/bundle";
import type { Pool } from "pg";
import type { Attestation, KeptAttestation, NewAttestation, StoredAttestation } from "../store/attestation.ts";
import { inBatches } from "./batches.ts";
import {
  findByDigest,
  findByRun,
  findStored,
  insertWithConfirmedUpload,
  insertWithoutUpload,
  insertWithPendingUpload,
  prune,
  readBundle,
  removeUnlessVisible,
} from "./attestation-statements.ts";

// Two lanes keep one batch gathering while the other is in the database.
const lookupBatches = { lanes: 2, maxBatch: 64 };

/** Where the bytes go beside the row. */
export type Target = "inline" | "upload" | "uploaded";

type RawRow = Omit<Attestation, "digest"> & { digest: Buffer };

/**
 * The attestations. Bytes and hot lookups go through prepared statements of pg itself: Prisma hands a bytea over as
 * text, which costs more than half of the rate.
 */
export class Attestations {
  readonly #pool: Pool;
  /** By run; undefined if there is none. */
  readonly ofRun: (key: { organizationId: string; runId: string }) => Promise<Attestation | undefined>;
  /** The latest that is visible; if none is, the latest. */
  readonly ofDigest: (key: { organizationId: string; digest: Digest }) => Promise<Attestation | undefined>;

  constructor(pool: Pool) {
    this.#pool = pool;
    this.ofRun = inBatches(async (keys) => {
      const { rows } = await pool.query<RawRow & { n: string }>({
        ...findByRun,
        values: [keys.map((key) => key.organizationId), keys.map((key) => key.runId)],
      });
      return inOrder(keys.length, rows);
    }, lookupBatches);
    this.ofDigest = inBatches(async (keys) => {
      const { rows } = await pool.query<RawRow & { n: string }>({
        ...findByDigest,
        values: [keys.map((key) => key.organizationId), keys.map((key) => digestBytes(key.digest))],
      });
      return inOrder(keys.length, rows);
    }, lookupBatches);
  }

  /** What Store needs to know of the run's row, visible or not; undefined if there is none. */
  async stored(organizationId: string, runId: string): Promise<StoredAttestation | undefined> {
    const { rows } = await this.#pool.query<Omit<StoredAttestation, "digest"> & { digest: Buffer }>({
      ...findStored,
      values: [organizationId, runId],
    });
    const [row] = rows;
    return row && { ...row, digest: digestFromBytes(row.digest) };
  }

  /**
   * Writes the attestation, its subjects and its upload in one statement; with "uploaded", the upload is confirmed and
   * the intent goes. False if the run has a row already: one constraint decides all races.
   */
  async insert(attestation: NewAttestation, bundle: Buffer | null, target: Target): Promise<boolean> {
    const { rowCount } = await this.#pool.query({
      ...insertions[target],
      values: [
        attestation.id,
        attestation.organizationId,
        attestation.runId,
        attestation.workflowId,
        attestation.project,
        attestation.workflow,
        attestation.backendId,
        digestBytes(attestation.digest),
        attestation.sizeBytes,
        attestation.mediaType,
        attestation.predicateType,
        JSON.stringify(attestation.subjects),
        attestation.mode,
        bundle,
        attestation.receivedAt,
        attestation.planGivenAt,
        attestation.subjectKeys,
      ],
    });
    return rowCount === 1;
  }

  /**
   * Removes the row of a refused run, and leaves an intent at each backend that may have its bytes, in one statement.
   * A visible row stays. Returns whether one was removed.
   */
  async removeRefused({ organizationId, runId, digest }: KeptAttestation): Promise<boolean> {
    const { rowCount } = await this.#pool.query({
      ...removeUnlessVisible,
      values: [organizationId, runId, digestBytes(digest)],
    });
    return rowCount === 1;
  }

  /** The bytes from any row of the organization that holds them; undefined if none does. */
  async bundle(organizationId: string, digest: Digest): Promise<Buffer | undefined> {
    const { rows } = await this.#pool.query<{ bundle: Buffer }>({
      ...readBundle,
      values: [organizationId, digestBytes(digest)],
    });
    return rows[0]?.bundle;
  }

  /** Rows without the visible mark that are older than `olderThanMs`, in order of id, after the id given. */
  async notVisible(olderThanMs: number, afterId: string, limit: number): Promise<KeptAttestation[]> {
    const { rows } = await this.#pool.query<Omit<KeptAttestation, "digest"> & { digest: Buffer }>({
      name: "not-visible",
      text: `select id, organization_id as "organizationId", run_id as "runId", digest, plan_given_at as "planGivenAt"
             from attestation
             where not visible and id > $1 and received_at < now() - $2 * interval '1 millisecond'
             order by id limit $3`,
      values: [afterId, olderThanMs, limit],
    });
    return rows.map((row) => ({ ...row, digest: digestFromBytes(row.digest) }));
  }

  /**
   * Empties the byte column of spooled rows whose uploads have all been confirmed for `graceMs`. Returns how many.
   */
  async prune(graceMs: number, limit: number): Promise<number> {
    const { rowCount } = await this.#pool.query({ ...prune, values: [graceMs, limit] });
    return rowCount ?? 0;
  }
}

const insertions = {
  inline: insertWithoutUpload,
  upload: insertWithPendingUpload,
  uploaded: insertWithConfirmedUpload,
} satisfies Record<Target, { name: string; text: string }>;

function inOrder(count: number, rows: (RawRow & { n: string })[]): (Attestation | undefined)[] {
  const found = new Array<Attestation | undefined>(count).fill(undefined);
  for (const { n, ...row } of rows) found[Number(n) - 1] = { ...row, digest: digestFromBytes(row.digest) };
  return found;
}
