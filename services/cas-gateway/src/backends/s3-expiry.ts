import { elapsed } from "../elapsed.ts";
import type { Expiry, HiddenBlob } from "../retention/expiry.ts";
import { backendMisconfigured } from "./backend.ts";
import {
  type ExpiredRecord,
  expiredKeyOf,
  expiredRecord,
  recordsOfExpired,
  writeExpired,
} from "./s3-expired-records.ts";
import { isLocked } from "./s3-head.ts";
import type { S3Requests } from "./s3-requests.ts";
import { headVersion, type ObjectVersion, putMarker, removeVersion, versionsOf } from "./s3-versions.ts";

/** A deletion of ours is sent so long after its record was begun, at the latest. */
const sendMs = 60_000;
/** After that none is on its way any more: a store refuses a request that was signed a quarter of an hour ago. */
const lateMs = 3_600_000;

interface Found {
  record: ExpiredRecord;
  versions: ObjectVersion[];
  /** Of the hidden version among them. */
  index: number;
}

/**
 * In a bucket with versioning a deletion puts a marker over whatever is there: so it is looked at what lies right beneath,
 * and the marker goes at once if that is another version. A record in `expired/`, put first, says which version was meant.
 * Since a record has one deletion, never repeated, a marker right above that version means that no other is of ours.
 */
export class S3Expiry implements Expiry {
  readonly #requests: S3Requests;
  readonly #prefix: string;

  constructor(requests: S3Requests, prefix: string) {
    this.#requests = requests;
    this.#prefix = prefix;
  }

  now(): Date {
    const now = this.#requests.now();
    if (now === undefined)
      throw backendMisconfigured("the object store does not say what time it is (Date)", undefined);
    return now;
  }

  async mayHide(key: string, before: Date, signal: AbortSignal): Promise<boolean> {
    return (await this.#hideable(key, before, signal)) !== undefined;
  }

  async hide(key: string, before: Date, signal: AbortSignal): Promise<boolean> {
    const requests = this.#requests;
    const found = await this.#hideable(key, before, signal);
    if (found === undefined) return false;
    const sinceRecord = elapsed();
    if (!(await writeExpired(requests, found, { onlyIf: "absent" }, signal))) return false;
    if (sinceRecord() > sendMs) return false;
    const marker = await putMarker(requests, key, signal);
    const versions = await this.#versions(key, signal);
    const at = versions.findIndex(({ id }) => id === marker);
    if (marker !== undefined && at !== -1 && versions[at + 1]?.id !== found.versionId)
      await removeVersion(requests, key, marker, signal);
    return (await this.#settle(key, signal)) !== undefined;
  }

  async *hidden(signal: AbortSignal): AsyncGenerator<HiddenBlob, void, void> {
    for await (const key of recordsOfExpired(this.#requests, signal)) {
      const found = await this.#settle(key, signal);
      if (found !== undefined) yield { key, storedAt: found.record.storedAt, hiddenAt: found.record.hiddenAt };
    }
  }

  async restore({ key }: HiddenBlob, signal: AbortSignal): Promise<void> {
    const found = await this.#settle(key, signal);
    if (found === undefined) return;
    const { record, versions, index } = found;
    const above = versions.slice(0, index);
    if (above.every(({ isMarker }) => isMarker)) {
      for (const { id } of above) await removeVersion(this.#requests, key, id, signal);
    } else if (record.dataKey !== undefined) {
      // What is in its place has data of its own.
      await this.#requests.remove(record.dataKey, signal);
    }
    await this.#purge(expiredKeyOf(key), signal);
  }

  async remove({ key }: HiddenBlob, signal: AbortSignal): Promise<boolean> {
    const found = await this.#settle(key, signal);
    if (found === undefined) return true;
    const { record, versions, index } = found;
    const beneath = versions.slice(index);
    const dataVersions = record.dataKey === undefined ? [] : await this.#versions(record.dataKey, signal);
    const isHeld =
      (await this.#anyLocked(key, beneath, signal)) ||
      (record.dataKey !== undefined && (await this.#anyLocked(record.dataKey, dataVersions, signal)));
    if (isHeld) {
      await writeExpired(this.#requests, record, { onlyIf: undefined }, signal);
      return false;
    }
    // The markers last: without them what lies beneath would be seen again. And the oldest first, so that what is left of a
    // removal that breaks off is still known by the hidden version.
    for (const { id } of beneath.toReversed()) await removeVersion(this.#requests, key, id, signal);
    await this.#forget(record, versions.slice(0, index), signal);
    return true;
  }

  /** What is to be written down of what may be hidden; undefined if nothing may. */
  async #hideable(
    key: string,
    before: Date,
    signal: AbortSignal,
  ): Promise<Omit<ExpiredRecord, "hiddenAt" | "toldAt"> | undefined> {
    const requests = this.#requests;
    const [latest] = await this.#versions(key, signal);
    if (latest === undefined || latest.isMarker || latest.storedAt >= before) return undefined;
    const head = await headVersion(requests, key, latest.id, signal);
    if (head === undefined || (head.reference !== undefined && head.reference.dataKey === undefined)) return undefined;
    const dataKey = head.reference?.dataKey;
    const data = dataKey === undefined ? undefined : await requests.head(dataKey, signal);
    if (isLocked(head) || (data !== undefined && isLocked(data))) return undefined;
    // The one that was hidden before has not been removed yet: one after the other.
    if ((await expiredRecord(requests, key, signal)) !== undefined) return undefined;
    return { key, versionId: latest.id, storedAt: latest.storedAt, dataKey };
  }

  /**
   * Puts right what a crash, or a blob that came while another was hidden, left; undefined if there is nothing hidden after
   * that. The record stays as long as its deletion may still come.
   */
  async #settle(key: string, signal: AbortSignal): Promise<Found | undefined> {
    const record = await expiredRecord(this.#requests, key, signal);
    if (record === undefined) return undefined;
    const versions = await this.#versions(key, signal);
    const index = versions.findIndex(({ id }) => id === record.versionId);
    const above = versions[(index === -1 ? versions.length : index) - 1];
    if (above?.isMarker === true) {
      if (index > 0) return { record, versions, index };
    } else {
      // The deletion met what came later, whenever that was.
      for (const { id } of markersOnTop(versions)) await removeVersion(this.#requests, key, id, signal);
      if (record.toldAt.getTime() < record.hiddenAt.getTime() + lateMs) return undefined;
    }
    if (index === -1) {
      await this.#forget(record, versions, signal);
    } else {
      // It is there to be seen, or one that was written anew is, which has data of its own.
      if (index > 0 && record.dataKey !== undefined) await this.#requests.remove(record.dataKey, signal);
      await this.#purge(expiredKeyOf(key), signal);
    }
    return undefined;
  }

  /** Removes what a version that is gone leaves: markers over nothing, its data, and its record last. */
  async #forget(
    { key, dataKey }: ExpiredRecord,
    versions: readonly ObjectVersion[],
    signal: AbortSignal,
  ): Promise<void> {
    for (const { id } of markersAtEnd(versions)) await removeVersion(this.#requests, key, id, signal);
    const here = dataKey === undefined ? undefined : await this.#requests.head(key, signal);
    if (dataKey !== undefined && here?.reference?.dataKey !== dataKey) await this.#purge(dataKey, signal);
    await this.#purge(expiredKeyOf(key), signal);
  }

  async #purge(key: string, signal: AbortSignal): Promise<void> {
    for (const { id } of (await this.#versions(key, signal)).toReversed())
      await removeVersion(this.#requests, key, id, signal);
  }

  async #anyLocked(key: string, versions: readonly ObjectVersion[], signal: AbortSignal): Promise<boolean> {
    for (const { id, isMarker } of versions) {
      const head = isMarker ? undefined : await headVersion(this.#requests, key, id, signal);
      if (head !== undefined && isLocked(head)) return true;
    }
    return false;
  }

  #versions(key: string, signal: AbortSignal): Promise<ObjectVersion[]> {
    return versionsOf(this.#requests, { prefix: this.#prefix, key }, signal);
  }
}

function markersAtEnd(versions: readonly ObjectVersion[]): readonly ObjectVersion[] {
  return versions.slice(versions.findLastIndex(({ isMarker }) => !isMarker) + 1);
}

function markersOnTop(versions: readonly ObjectVersion[]): readonly ObjectVersion[] {
  return versions.slice(
    0,
    Math.max(
      0,
      versions.findIndex(({ isMarker }) => !isMarker),
    ),
  );
}
