import type { Expiry, HiddenBlob } from "../retention/expiry.ts";
import {
  type ExpiredRecord,
  expiredKeyOf,
  expiredRecord,
  recordsOfExpired,
  writeExpired,
} from "./s3-expired-records.ts";
import { isLocked } from "./s3-head.ts";
import type { S3Requests } from "./s3-requests.ts";
import { headVersion, type ObjectVersion, removeVersion, versionsOf } from "./s3-versions.ts";

/** How long after its record a deletion of ours may reach the store, at the latest. */
const raceMs = 300_000;

interface Found {
  record: ExpiredRecord;
  versions: ObjectVersion[];
  /** Of the hidden version among them. */
  index: number;
}

/**
 * In a bucket with versioning a deletion puts a marker over whatever is there: so it is looked at what lies right beneath,
 * and the marker goes at once if that came in between. A record in `expired/`, put first, says which version was
 * meant, so that no other deletion is taken for one of these.
 */
export class S3Expiry implements Expiry {
  readonly #requests: S3Requests;
  readonly #prefix: string;

  constructor(requests: S3Requests, prefix: string) {
    this.#requests = requests;
    this.#prefix = prefix;
  }

  async hide(key: string, before: Date, signal: AbortSignal): Promise<boolean> {
    const requests = this.#requests;
    const [latest] = await this.#versions(key, signal);
    if (latest === undefined || latest.isMarker || latest.storedAt >= before) return false;
    const head = await headVersion(requests, key, latest.id, signal);
    if (head === undefined || (head.reference !== undefined && head.reference.dataKey === undefined)) return false;
    const dataKey = head.reference?.dataKey;
    const data = dataKey === undefined ? undefined : await requests.head(dataKey, signal);
    if (isLocked(head) || (data !== undefined && isLocked(data))) return false;
    // The one that was hidden before has not been removed yet: one after the other.
    if ((await expiredRecord(requests, key, signal)) !== undefined) return false;
    const { id: versionId, storedAt } = latest;
    await writeExpired(requests, { key, versionId, storedAt, dataKey }, signal);
    await requests.remove(key, signal);
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
      await writeExpired(this.#requests, record, signal);
      return false;
    }
    // The markers last: without them what lies beneath would be seen again. And the oldest first, so that what is left of a
    // removal that breaks off is still known by the hidden version.
    for (const { id } of beneath.toReversed()) await removeVersion(this.#requests, key, id, signal);
    await this.#forget(record, versions.slice(0, index), signal);
    return true;
  }

  /**
   * Puts right what a crash, or a blob that came while another was hidden, left; undefined if there is nothing hidden after
   * that, and no record.
   */
  async #settle(key: string, signal: AbortSignal): Promise<Found | undefined> {
    const record = await expiredRecord(this.#requests, key, signal);
    if (record === undefined) return undefined;
    let versions = await this.#versions(key, signal);
    const wrong = markersOverNewer(versions, record);
    for (const { id } of wrong) await removeVersion(this.#requests, key, id, signal);
    if (wrong.length > 0) versions = await this.#versions(key, signal);
    const index = versions.findIndex(({ id }) => id === record.versionId);
    if (index > 0) return { record, versions, index };
    // It is there to be seen: nothing was deleted, or it was brought back. Or it is gone, and its data may not be.
    if (index === 0) await this.#purge(expiredKeyOf(key), signal);
    else await this.#forget(record, versions, signal);
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

/** Markers on top of a blob that came between the record and the deletion which put them; not of later deletions. */
function markersOverNewer(versions: readonly ObjectVersion[], { versionId, hiddenAt }: ExpiredRecord): ObjectVersion[] {
  const top = versions.findIndex(({ isMarker }) => !isMarker);
  const newer = versions[top];
  if (newer === undefined || newer.id === versionId) return [];
  const markers = versions.slice(0, top);
  const isOurs = (version: ObjectVersion) => version.storedAt.getTime() < hiddenAt.getTime() + raceMs;
  return isOurs(newer) && markers.every(isOurs) ? markers : [];
}
