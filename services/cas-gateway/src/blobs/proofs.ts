import type { CasBackend } from "@attestry/service-kit";
import { LRUCache } from "lru-cache";
import type { Backend, StoredBlob } from "../backends/backend.ts";
import { isStale, type Keeping } from "../retention/keeping.ts";
import type { Telemetry } from "../telemetry.ts";
import { untilAborted } from "./abortable.ts";
import type { BlobQuery, BlobRef } from "./blob-ref.ts";
import { cutShort } from "./cut-short.ts";
import { hashOf } from "./hash-of.ts";
import type { Suspects } from "./suspects.ts";

const remembered = 100_000;
const rememberedMs = 3_600_000;
/** Backends read what they set aside, whatever its size. */
const setAsideMs = 600_000;

/** Where a blob lies or is to lie. */
export interface Place {
  organization: string;
  named: CasBackend;
  backend: Backend;
  key: string;
}

interface Proof {
  sizeBytes: number;
  /** When the blob was there for certain, in milliseconds since 1970; what was stored after that is another object. */
  at: number;
}

interface Reading {
  outcome: Promise<boolean>;
  waiting: number;
  controller: AbortController;
}

/**
 * What this process knows to be the blob that its key names, since it wrote it or read it whole, within the last hour;
 * and what it does with what turns out to be something else. A name and a size prove nothing.
 */
export class Proofs {
  readonly #known = new LRUCache<string, Proof>({ max: remembered, ttl: rememberedMs });
  readonly #readings = new Map<string, Reading>();
  readonly #condemning = new Map<string, Promise<void>>();
  readonly #suspects: Suspects;
  readonly #telemetry: Telemetry;

  constructor({ suspects, telemetry }: { suspects: Suspects; telemetry: Telemetry }) {
    this.#suspects = suspects;
    this.#telemetry = telemetry;
  }

  /** The blob was there at that time: written by then, or read whole from what was opened then. */
  add(place: Place, { sizeBytes }: BlobRef, at: number): void {
    this.#known.set(idOf(place), { sizeBytes, at });
    this.#suspects.clear(place.organization, place.named, place.key);
  }

  forget(place: Place): void {
    this.#known.delete(idOf(place));
  }

  /** What was known to be there gave nothing when it was opened at that time: it may be described, but does not count. */
  gone(place: Place, at: number): void {
    const known = this.#known.get(idOf(place));
    if (known !== undefined && known.at < at) this.#suspect(place);
  }

  /**
   * Whether the blob is there, by `isBlob`, and stays there as long as it would if it were written now, for which the store
   * holds it from now on. Throws what the backend's `describe`, `read` and `hold` throw.
   */
  async isThere(place: Place, blob: BlobQuery, signal: AbortSignal, keeping?: Keeping): Promise<boolean> {
    return (await this.find(place, blob, signal, keeping)) !== undefined;
  }

  /** As `isThere`: the blob with its size, or undefined. */
  async find(
    place: Place,
    { hex, sizeBytes }: BlobQuery,
    signal: AbortSignal,
    keeping?: Keeping,
  ): Promise<BlobRef | undefined> {
    const { backend, key } = place;
    const described = await backend.describe(key, signal);
    if (described === undefined || isStale(described.storedAt, keeping)) return undefined;
    const blob = { hex, sizeBytes: sizeBytes ?? described.sizeBytes };
    if (!(await this.isBlob(place, blob, described, signal))) return undefined;
    const stays = keeping === undefined || (await backend.hold(key, keeping.atLeastMs, signal));
    return stays ? blob : undefined;
  }

  /**
   * Whether what lies there, and was just described so, is the blob: known, or else read and hashed; those who ask at the
   * same time share one read, which ends when none of them waits any more. What is not the blob is set aside.
   * Throws what the backend's `read` throws.
   */
  async isBlob(place: Place, blob: BlobRef, described: StoredBlob, signal: AbortSignal): Promise<boolean> {
    if (described.sizeBytes !== blob.sizeBytes) return false;
    if (this.#suspects.has(place.organization, place.named, place.key)) return false;
    const storedAt = described.storedAt.getTime();
    const known = this.#known.get(idOf(place));
    if (known?.sizeBytes === blob.sizeBytes && storedAt <= known.at) return true;
    return this.#shareReading(place, blob, storedAt, signal);
  }

  /** The blob was written there just now. Resolves when nothing that began before can move it out of sight any more. */
  async addWritten(place: Place, blob: BlobRef, signal: AbortSignal): Promise<void> {
    this.add(place, blob, Date.now());
    const condemning = this.#condemning.get(idOf(place));
    if (condemning !== undefined) await untilAborted(() => condemning, signal);
  }

  /**
   * What was opened there at that time is not the blob: it is counted and set aside, or suspected where that cannot be.
   * What is known of a later time stays: the blob was written anew meanwhile. Not ended by whoever asked: a move that is
   * broken off could leave the right blob out of sight, if it came in between.
   */
  condemn(place: Place, blob: BlobRef, at: number): Promise<void> {
    const id = idOf(place);
    const condemning =
      this.#condemning.get(id) ?? this.#setAside(place, blob, at).finally(() => this.#condemning.delete(id));
    this.#condemning.set(id, condemning);
    return condemning;
  }

  async #setAside(place: Place, blob: BlobRef, at: number): Promise<void> {
    const { named, backend, key } = place;
    this.#telemetry.corrupt(named.provider);
    if (this.#isKnownSince(place, at)) return;
    this.forget(place);
    const isAside = await backend.setAside(key, blob, AbortSignal.timeout(setAsideMs)).catch(() => false);
    if (!isAside && !this.#isKnownSince(place, at)) this.#suspect(place);
  }

  #suspect(place: Place): void {
    this.forget(place);
    this.#suspects.add(place.organization, place.named, place.key);
  }

  #isKnownSince(place: Place, at: number): boolean {
    return (this.#known.get(idOf(place))?.at ?? Number.NEGATIVE_INFINITY) > at;
  }

  async #shareReading(place: Place, blob: BlobRef, storedAt: number, signal: AbortSignal): Promise<boolean> {
    const id = idOf(place);
    const reading = this.#readings.get(id) ?? this.#beginReading(id, place, blob, storedAt);
    reading.waiting++;
    try {
      return await untilAborted(() => reading.outcome, signal);
    } finally {
      reading.waiting--;
      if (reading.waiting === 0) {
        reading.controller.abort();
        if (this.#readings.get(id) === reading) this.#readings.delete(id);
      }
    }
  }

  #beginReading(id: string, place: Place, blob: BlobRef, storedAt: number): Reading {
    const controller = new AbortController();
    const outcome = this.#read(place, blob, storedAt, controller.signal);
    outcome.catch(() => undefined);
    const reading = { outcome, waiting: 0, controller };
    this.#readings.set(id, reading);
    return reading;
  }

  async #read(place: Place, blob: BlobRef, storedAt: number, signal: AbortSignal): Promise<boolean> {
    // The store's clock may be ahead of this one.
    const at = Math.max(Date.now(), storedAt);
    const opened = await place.backend.read(place.key, { offset: 0, length: undefined }, signal);
    if (opened === undefined) {
      // It was described just now.
      if (!this.#isKnownSince(place, at)) this.#suspect(place);
      return false;
    }
    const { sizeBytes } = opened;
    try {
      const came = await hashOf(opened.chunks);
      // What ends with nothing has nothing, as where the data of a blob was lost.
      if (came.sizeBytes !== sizeBytes && came.sizeBytes > 0) throw cutShort(sizeBytes, came.sizeBytes);
      const isRight = came.hex === blob.hex && came.sizeBytes === sizeBytes;
      if (isRight) this.add(place, { hex: blob.hex, sizeBytes }, at);
      else await this.condemn(place, blob, at);
      return isRight && sizeBytes === blob.sizeBytes;
    } finally {
      await opened.close();
    }
  }
}

function idOf({ organization, named, key }: Place): string {
  return JSON.stringify([organization, named.secretRef, named.prefix, key]);
}
