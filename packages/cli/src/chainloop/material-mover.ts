import { createHash } from "node:crypto";
import { BlobError, type BlobRef, findMissing, uploadBlob, uploadIdOf } from "@attestry/cas-client";
import { safeFileName } from "@attestry/service-kit";
import { CasTokens } from "../client/cas-token.ts";
import type { Context } from "../context.ts";
import { CommandError, reasonOf } from "../errors.ts";
import { atATime } from "./at-a-time.ts";
import { bounded } from "./bounded.ts";
import { checkSameDigest, type SourceBuckets, type SourceObject } from "./buckets.ts";
import { isOfOne } from "./faults.ts";
import type { Material } from "./materials.ts";

/** As many as one question may have. */
const askedAtOnce = 500;
/** Of one material. */
const longestUploadMs = 60 * 60_000;
/** A CAS token lives 5 min. */
const tokenMs = 2 * 60_000;
const mostRemembered = 100_000;

export interface MoverOptions {
  buckets: SourceBuckets;
  /** Name of Attestry's backend; undefined: the organization's default. */
  to: string | undefined;
  /** Transfers at a time. */
  jobs: number;
  /** Read and verify, and write nothing. */
  dryRun: boolean;
  onMoved: (sizeBytes: number) => void;
  onPresent: () => void;
}

/** Streams materials from chainloop's buckets to Attestry, with memory for a few chunks of each transfer only. */
export class MaterialMover {
  readonly #context: Context;
  readonly #options: MoverOptions;
  readonly #tokens: CasTokens;
  #token: { value: Promise<string>; until: number } | undefined;
  readonly #there = new Set<string>();

  constructor(context: Context, options: MoverOptions) {
    this.#context = context;
    this.#options = options;
    this.#tokens = new CasTokens(context, { case: "upload", value: { backend: options.to ?? "" } });
  }

  /** Moves what Attestry lacks. Resolves with the faults of single materials, by digest; throws those of all. */
  async move(materials: readonly Material[]): Promise<Map<string, unknown>> {
    const faults = new Map<string, unknown>();
    const names = new Map<string, string | undefined>(materials.map(({ digest, fileName }) => [digest, fileName]));
    const digests = [...names.keys()].filter((digest) => !this.#there.has(digest));
    const found = await this.#find(digests, faults);
    const missing = this.#options.dryRun ? new Set(found.keys()) : await this.#missing(found);
    for (const digest of found.keys()) if (!missing.has(digest)) this.#settle(digest, this.#options.onPresent);
    const work = [...found].filter(([digest]) => missing.has(digest));
    await this.#each(work, async ([digest, object], signal) => {
      const fileName = nameOf(object.fileName) ?? nameOf(names.get(digest));
      const move = this.#options.dryRun
        ? this.#read(digest, object, signal)
        : this.#upload(digest, { ...object, fileName }, signal);
      const fault: unknown = await move.catch((error: unknown) => error);
      if (fault === undefined) this.#settle(digest, () => this.#options.onMoved(object.sizeBytes));
      else if (isOfOne(fault) && !signal.aborted) faults.set(digest, fault);
      else throw fault;
    });
    return faults;
  }

  async #find(digests: readonly string[], faults: Map<string, unknown>): Promise<Map<string, SourceObject>> {
    const found = new Map<string, SourceObject>();
    await this.#each(digests, async (digest) => {
      const object = await this.#options.buckets.find(digest).catch((error: unknown) => {
        if (!isOfOne(error)) throw error;
        faults.set(digest, error);
      });
      if (object !== undefined) found.set(digest, object);
    });
    return found;
  }

  async #missing(found: ReadonlyMap<string, SourceObject>): Promise<Set<string>> {
    const refs = [...found].map(([digest, { sizeBytes }]): BlobRef => ({ digest, sizeBytes }));
    const missing = new Set<string>();
    for (let start = 0; start < refs.length; start += askedAtOnce) {
      const blobs = refs.slice(start, start + askedAtOnce);
      const answer = await this.#context.caller.repeatable((call) =>
        findMissing(this.#context.services.cas, { token: this.#issue, ...bounded(call), blobs }),
      );
      for (const { digest } of answer) missing.add(digest);
    }
    return missing;
  }

  async #upload(digest: string, object: SourceObject, signal: AbortSignal): Promise<void> {
    const { sizeBytes, bucket, fileName } = object;
    const upload = uploadBlob(this.#context.services.cas, {
      ...bounded(this.#context.caller.persistence(), longestUploadMs),
      ...{ token: this.#issue, digest, sizeBytes, fileName, signal, reachedBefore: true },
      // The same the next time, so that a large one goes on where the command was killed.
      uploadId: uploadIdOf(digest, bucket.place),
      open: (offset) => this.#options.buckets.read(object, offset, signal),
    });
    await upload.catch((cause: unknown) => {
      if (!isOtherContent(cause)) throw cause;
      const message = `expected bytes with the digest ${digest}, ${bucket.place} has others`;
      throw new CommandError("SOURCE_CORRUPT", message, { cause });
    });
  }

  async #read(digest: string, object: SourceObject, signal: AbortSignal): Promise<void> {
    const hash = createHash("sha256");
    for await (const chunk of this.#options.buckets.read(object, 0, signal)) hash.update(chunk);
    checkSameDigest(`sha256:${hash.digest("hex")}`, digest);
  }

  #each<T>(items: Iterable<T>, work: (item: T, signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.#context.caller.options();
    return atATime(items, { limit: this.#options.jobs, signal }, work);
  }

  #settle(digest: string, count: () => void): void {
    if (this.#there.size >= mostRemembered) this.#there.clear();
    this.#there.add(digest);
    count();
  }

  readonly #issue = (): Promise<string> => {
    if (this.#token === undefined || this.#token.until < performance.now()) {
      const value = this.#tokens.issue();
      const token = { value, until: performance.now() + tokenMs };
      this.#token = token;
      value.catch(() => {
        if (this.#token === token) this.#token = undefined;
      });
    }
    return this.#token.value;
  };
}

/** Undefined for what the gateway would not take. */
function nameOf(fileName: string | undefined): string | undefined {
  return fileName === undefined ? undefined : safeFileName(fileName);
}

/** Found out here, or by the gateway where an earlier process had sent a part. */
function isOtherContent(error: unknown): boolean {
  return error instanceof BlobError || reasonOf(error) === "DIGEST_MISMATCH";
}
