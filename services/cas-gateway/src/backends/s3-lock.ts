import { createHash } from "node:crypto";
import { untilAborted } from "../blobs/abortable.ts";
import { StoreFault } from "./s3-errors.ts";
import type { ObjectHead } from "./s3-head.ts";
import type { LockMode } from "./s3-options.ts";
import type { S3Requests } from "./s3-requests.ts";

/** What a bucket does beyond keeping what is not deleted. */
export interface BucketState {
  /** Versions can be held against deletion. */
  locks: boolean;
  /** A deletion leaves what is deleted as a version. */
  versions: boolean;
}

const rememberedMs = 3_600_000;
const askMs = 30_000;
const unknownCodes = new Set([
  "ObjectLockConfigurationNotFoundError",
  "NoSuchObjectLockConfiguration",
  "NotImplemented",
  "MethodNotAllowed",
  "AccessDenied",
  "InvalidRequest",
]);
/** From an at_least of a day on it is rounded up to the hour: a blob that is written time after time is not held anew each time. */
const [dayMs, hourMs, secondMs] = [86_400_000, 3_600_000, 1_000];
const namespace = "http://s3.amazonaws.com/doc/2006-03-01/";

/** S3 Object Lock, where the bucket has it: holds what an organization wants kept, against its owner's credentials too. */
export class ObjectLock {
  readonly #requests: S3Requests;
  readonly #mode: LockMode;
  #state: { found: Promise<BucketState>; askedAt: number } | undefined;

  constructor(requests: S3Requests, mode: LockMode) {
    this.#requests = requests;
    this.#mode = mode;
  }

  /** Asked once an hour, if nothing newer is wanted: both can be turned on for a bucket that is in use. */
  state(signal: AbortSignal, notOlderMs = rememberedMs): Promise<BucketState> {
    if (this.#state === undefined || Date.now() - this.#state.askedAt >= notOlderMs) {
      // Without the signal of the call that asks first: others wait for the same answer.
      const state = { found: this.#ask(AbortSignal.timeout(askMs)), askedAt: Date.now() };
      this.#state = state;
      // A fault is not remembered, but for those that wait for it now.
      state.found.catch(() => {
        if (this.#state === state) this.#state = undefined;
      });
    }
    const { found } = this.#state;
    return untilAborted(() => found, signal);
  }

  /** For a PUT of that body, so that the store holds it from the first moment; none where it cannot. */
  async headers(atLeastMs: number, body: Buffer, signal: AbortSignal): Promise<Record<string, string>> {
    if (atLeastMs === 0 || !(await this.state(signal)).locks) return {};
    return {
      "x-amz-object-lock-mode": this.#mode,
      "x-amz-object-lock-retain-until-date": this.#untilAfter(atLeastMs).toISOString(),
      // S3 takes no lock without a digest of its own kinds, and not every store knows checksum headers.
      "content-md5": md5Of(body),
    };
  }

  /** Holds an object so long at least; that it is held longer stays. False if it is not there. */
  async hold(key: string, atLeastMs: number, signal: AbortSignal): Promise<boolean> {
    const found = await this.#requests.head(key, signal);
    if (found === undefined) return false;
    const dataKey = found.reference?.dataKey;
    // Of a large blob what the bytes are in comes first.
    if (dataKey !== undefined && !(await this.hold(dataKey, atLeastMs, signal))) return false;
    const until = this.#untilAfter(atLeastMs);
    if (isHeldUntil(found, until)) return true;
    try {
      await this.#extend(key, found, until, signal);
      return true;
    } catch (fault) {
      if (fault instanceof StoreFault && fault.isAbsent) return false;
      const now = fault instanceof StoreFault ? await this.#requests.head(key, signal) : undefined;
      // Somebody who wants it longer came first: to make that shorter is refused.
      if (now !== undefined && isHeldUntil(now, until)) return true;
      throw this.#requests.told(fault);
    }
  }

  /** By the store's clock, which the time is held against. Rounded up; a store keeps no parts of a second. */
  #untilAfter(atLeastMs: number): Date {
    const step = atLeastMs >= dayMs ? hourMs : secondMs;
    const now = this.#requests.now()?.getTime() ?? Date.now();
    return new Date(Math.ceil((now + atLeastMs) / step) * step);
  }

  /** S3 API, PutObjectRetention. */
  async #extend(key: string, { lock }: ObjectHead, until: Date, signal: AbortSignal): Promise<void> {
    // The mode is never made weaker, which would be refused.
    const mode = lock?.mode === "COMPLIANCE" ? lock.mode : this.#mode;
    const date = until.toISOString();
    const retention = `<Retention xmlns="${namespace}"><Mode>${mode}</Mode><RetainUntilDate>${date}</RetainUntilDate></Retention>`;
    const body = Buffer.from(retention);
    const headers = { "content-md5": md5Of(body) };
    await this.#requests.subresource({ method: "PUT", key, query: "retention", headers, body }, signal);
  }

  async #ask(signal: AbortSignal): Promise<BucketState> {
    const [lock, versioning] = await Promise.all([
      this.#bucket("object-lock", signal),
      this.#bucket("versioning", signal),
    ]);
    const locks = lock.includes("<ObjectLockEnabled>Enabled</ObjectLockEnabled>");
    const [, days, unit] = /<(?:Days|Years)>([0-9]+)<\/(Days|Years)>/.exec(lock) ?? [];
    if (days !== undefined) {
      this.#requests.features.note(
        `the bucket holds whatever is written there for ${days} ${unit?.toLowerCase()} by its own default: also what the gateway keeps for itself and deletes, which stays as versions until then`,
      );
    }
    return { locks, versions: versioning.includes("<Status>Enabled</Status>") };
  }

  /** What the store says about its bucket; empty if it does not know what is asked, or does not tell. */
  async #bucket(query: "object-lock" | "versioning", signal: AbortSignal): Promise<string> {
    try {
      return (await this.#requests.subresource({ method: "GET", query }, signal)).body;
    } catch (fault) {
      if (!(fault instanceof StoreFault) || !unknownCodes.has(fault.code ?? "")) throw this.#requests.told(fault);
      if (fault.code === "AccessDenied") {
        this.#requests.features.note(
          `the store does not tell whether the bucket has ${query} (AccessDenied): it is taken to have none`,
        );
      }
      return "";
    }
  }
}

function isHeldUntil({ lock }: ObjectHead, until: Date): boolean {
  return lock?.until !== undefined && lock.until >= until;
}

function md5Of(body: Buffer): string {
  return createHash("md5").update(body).digest("base64");
}
