import { type Digest, digestBytes, digestFromBytes } from "@attestry/bundle";
import type { Pool } from "pg";
import type { UploadState } from "../store/attestation.ts";
import {
  claim,
  confirm,
  fail,
  listings,
  makeDue,
  putOff,
  release,
  renew,
  retryAll,
  retryDigest,
} from "./upload-statements.ts";

/** An upload that a worker holds under its lease. */
export interface ClaimedUpload {
  id: string;
  organizationId: string;
  attestationId: string;
  runId: string;
  backendId: string;
  digest: Digest;
  sizeBytes: number;
  attempts: number;
  /** Another worker held it until its lease ended. */
  wasHeld: boolean;
  /** For how long it has been tried, in milliseconds. */
  triedForMs: number;
}

export interface ClaimOptions {
  /** The worker; its lease is extended by renew. */
  owner: string;
  leaseMs: number;
  /** How many in all. */
  limit: number;
  /** How many of one backend, unless `rooms` says otherwise. */
  perBackend: number;
  /** Those may be taken before they are due. */
  probe: boolean;
  /** How long no worker probes a backend again. */
  probeMs: number;
  /** Of `limit`, those that only backends with nothing under way may take. */
  reserved: number;
  /** How many of these backends, and how many are under way; a probe may take one that is not due, if no other worker does. */
  rooms: readonly { backendId: string; room: number; probe: boolean; underWay: number }[];
}

export interface ListedUpload {
  id: string;
  runId: string;
  backendId: string;
  digest: Digest;
  sizeBytes: number;
  state: UploadState;
  attempts: number;
  nextAttemptAt: Date;
  lastError: string;
  createdAt: Date;
  confirmedAt: Date | null;
}

export type Listing = keyof typeof listings;

/** The upload queue: one row for each attestation and external backend, written with the attestation. */
export class Uploads {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** Takes due uploads whose lease is free, none whose digest gc is at, and holds them for `leaseMs`. */
  async claim(options: ClaimOptions): Promise<ClaimedUpload[]> {
    const { rows } = await this.#pool.query<Omit<ClaimedUpload, "digest"> & { digest: Buffer }>({
      ...claim,
      values: [
        options.owner,
        options.leaseMs,
        options.limit,
        options.perBackend,
        options.rooms.map((room) => room.backendId),
        options.rooms.map((room) => room.room),
        options.rooms.map((room) => room.probe),
        options.probe,
        options.probeMs,
        options.reserved,
        options.rooms.map((room) => room.underWay),
      ],
    });
    return rows.map((row) => ({ ...row, digest: digestFromBytes(row.digest) }));
  }

  /** Extends the lease of those that the worker still holds. */
  async renew(owner: string, ids: readonly string[], leaseMs: number): Promise<void> {
    await this.#pool.query({ ...renew, values: [owner, ids, leaseMs] });
  }

  /** Gives back what the worker holds, due as it was. */
  async release(owner: string, ids: readonly string[]): Promise<void> {
    await this.#pool.query({ ...release, values: [owner, ids] });
  }

  /** Gives one back that was not tried, to be tried later. */
  async putOff(owner: string, id: string, retryInMs: number): Promise<void> {
    await this.#pool.query({ ...putOff, values: [id, owner, retryInMs] });
  }

  /** The backends have them, whoever holds the lease. */
  async confirm(ids: readonly string[]): Promise<void> {
    await this.#pool.query({ ...confirm, values: [[...ids].sort()] });
  }

  /** Notes a failed attempt, if the worker still holds the upload; never over a confirmation. */
  async fail(
    owner: string,
    failure: { id: string; state: "failing" | "given_up"; retryInMs: number; error: string },
  ): Promise<void> {
    await this.#pool.query({ ...fail, values: [failure.id, owner, failure.state, failure.retryInMs, failure.error] });
  }

  /** Makes all uploads due that wait for a backend which works again, and any worker may try it. Returns how many. */
  async makeDue(backendId: string): Promise<number> {
    const { rowCount } = await this.#pool.query({ ...makeDue, values: [backendId] });
    return rowCount ?? 0;
  }

  /** Makes the uploads of one attestation due that are not confirmed, given up or not. Returns how many. */
  async retryDigest(organizationId: string, digest: Digest, actor: string): Promise<number> {
    const values = [organizationId, actor, `attestation ${digest}`, digestBytes(digest)];
    const { rows } = await this.#pool.query<{ n: number }>({ ...retryDigest, values });
    return rows[0]?.n ?? 0;
  }

  /** Makes all uploads of the organization due that fail or were given up. Returns how many. */
  async retryAll(organizationId: string, actor: string): Promise<number> {
    const values = [organizationId, actor, `organization ${organizationId}`];
    const { rows } = await this.#pool.query<{ n: number }>({ ...retryAll, values });
    return rows[0]?.n ?? 0;
  }

  /** Uploads in descending order of id, below the id given. */
  async list(organizationId: string, listing: Listing, beforeId: string, limit: number): Promise<ListedUpload[]> {
    const { rows } = await this.#pool.query<Omit<ListedUpload, "digest"> & { digest: Buffer }>({
      ...listings[listing],
      values: [organizationId, beforeId, limit],
    });
    return rows.map((row) => ({ ...row, digest: digestFromBytes(row.digest) }));
  }
}
