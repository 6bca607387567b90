import type { Context } from "../context.ts";
import { CommandError } from "../errors.ts";
import { type Counter, startCounter } from "../output/progress.ts";
import { atATime } from "./at-a-time.ts";
import { checkDigest, type SourceBuckets, type SourceObject } from "./buckets.ts";
import type { ChainloopDatabase, SourceRun } from "./chainloop-database.ts";
import { isOfOne, isTrustRefusal } from "./faults.ts";
import type { MaterialMover } from "./material-mover.ts";
import { type Material, materialsOf } from "./materials.ts";
import type { ProgressFile } from "./progress-file.ts";
import type { ImportReport } from "./report.ts";
import type { ImportTarget, TargetRun } from "./target.ts";

/** The most that Attestry takes, in bytes. */
const bundleLimitBytes = 32 * 1024 * 1024;
/** Of runs that are worked on together: what is in memory. */
const groupRuns = 100;
const groupBytes = bundleLimitBytes;

export interface ImportParts {
  context: Context;
  database: ChainloopDatabase;
  buckets: SourceBuckets;
  organizationId: string;
  mover: MaterialMover;
  /** Undefined: read and verify, and write nothing. */
  target: ImportTarget | undefined;
  progressFile: ProgressFile | undefined;
  report: ImportReport;
  /** Reads and Stores at a time. */
  jobs: number;
}

/** A run with the bytes of its attestation, proven. */
interface Loaded {
  run: SourceRun;
  bundle: Uint8Array;
  materials: Material[];
}

interface Located {
  run: SourceRun;
  /** Where the bundle is, if not in the database. */
  object: SourceObject | undefined;
  sizeBytes: number;
}

/** Imports the attestations of one organization with their materials, oldest first, in groups that fit into memory. */
export class ChainloopImport {
  readonly #parts: ImportParts;
  readonly #open = new Set<string>();
  #legacy = 0;
  #counter: Counter | undefined;
  #settled = 0;

  constructor(parts: ImportParts) {
    this.#parts = parts;
  }

  async run(): Promise<void> {
    const { database, organizationId, progressFile } = this.#parts;
    const again = progressFile?.open ?? [];
    const total = again.length + (await database.countRuns(organizationId, progressFile?.position));
    this.#counter = startCounter("importing", "runs", total);
    try {
      for await (const page of database.runsOf(organizationId, [...again])) {
        for await (const group of this.#groups(page)) await this.#again(group);
      }
      for await (const page of database.runs(organizationId, progressFile?.position)) {
        for await (const group of this.#groups(page)) await this.#next(group);
      }
    } finally {
      this.#counter.stop();
    }
  }

  async #again(group: readonly Located[]): Promise<void> {
    await this.#import(group);
    await this.#parts.progressFile?.close(
      group.map(({ run }) => run.id),
      this.#open,
    );
  }

  async #next(group: readonly Located[]): Promise<void> {
    const legacyBefore = this.#legacy;
    await this.#import(group);
    const last = group.at(-1)?.run;
    if (last === undefined) return;
    const open = group.map(({ run }) => run.id).filter((id) => this.#open.has(id));
    const legacy = this.#legacy - legacyBefore;
    await this.#parts.progressFile?.advance({ last, open, legacy, done: group.length - open.length - legacy });
  }

  /** Groups with bundles of so many bytes in all, or with a single one. */
  async *#groups(page: readonly SourceRun[]): AsyncGenerator<Located[], void, void> {
    const located = await this.#locate(page);
    let group: Located[] = [];
    let bytes = 0;
    for (const one of located) {
      if (group.length > 0 && (group.length >= groupRuns || bytes + one.sizeBytes > groupBytes)) {
        yield group;
        group = [];
        bytes = 0;
      }
      group.push(one);
      bytes += one.sizeBytes;
    }
    if (group.length > 0) yield group;
  }

  async #locate(page: readonly SourceRun[]): Promise<Located[]> {
    const objects = new Map<string, SourceObject>();
    const elsewhere = page.filter(({ sizeBytes, digest }) => sizeBytes === null && digest !== null);
    await this.#each(elsewhere, async (run) => {
      await this.#perRun(run, async () => {
        // Before there were bundles, none was in the bucket either, as a rule.
        const object = await this.#parts.buckets.find(run.digest ?? "").catch((error: unknown) => {
          if (!run.hasLegacyEnvelope || !isOfOne(error)) throw error;
        });
        if (object !== undefined) objects.set(run.id, object);
      });
    });
    return page.map((run) => {
      const object = objects.get(run.id);
      return { run, object, sizeBytes: run.sizeBytes ?? object?.sizeBytes ?? 0 };
    });
  }

  async #import(group: readonly Located[]): Promise<void> {
    // Out of time, or interrupted.
    this.#parts.context.caller.options();
    const loaded = await this.#load(group);
    await this.#moveMaterials(loaded);
    await this.#store(loaded);
    await this.#parts.report.said();
    this.#settled += group.length;
    this.#counter?.update(this.#settled);
  }

  async #load(group: readonly Located[]): Promise<Loaded[]> {
    const { database, buckets, report } = this.#parts;
    const bundles = await database.bundles(
      group.filter(({ run }) => run.sizeBytes !== null && run.sizeBytes <= bundleLimitBytes).map(({ run }) => run.id),
    );
    const loaded = new Map<string, Loaded>();
    await this.#each(group, async ({ run, object, sizeBytes }) => {
      if (this.#open.has(run.id)) return;
      if (run.sizeBytes === null && object === undefined) {
        this.#legacy++;
        report.legacy(run);
        return;
      }
      await this.#perRun(run, async () => {
        if (sizeBytes > bundleLimitBytes) {
          throw new CommandError("BUNDLE_TOO_LARGE", `expected at most ${bundleLimitBytes} bytes, it has ${sizeBytes}`);
        }
        const bundle = object === undefined ? bundles.get(run.id) : await buckets.bytes(object);
        if (bundle === undefined) throw new CommandError("SOURCE_MISSING", "it went away while it was to be read");
        checkDigest(bundle, run.digest ?? "");
        loaded.set(run.id, { run, bundle, materials: materialsOf(bundle) });
      });
    });
    return group.flatMap(({ run }) => loaded.get(run.id) ?? []);
  }

  async #moveMaterials(loaded: readonly Loaded[]): Promise<void> {
    const { mover, report } = this.#parts;
    const faults = await mover.move(loaded.flatMap(({ materials }) => materials));
    for (const { run, materials } of loaded) {
      for (const { digest } of materials) {
        const fault = faults.get(digest);
        if (fault === undefined) continue;
        this.#open.add(run.id);
        report.fault(run, "material", digest, fault);
      }
    }
  }

  /** Runs are made one after the other, so that newer ones have greater ids. */
  async #store(loaded: readonly Loaded[]): Promise<void> {
    const { target, report } = this.#parts;
    if (target === undefined) {
      // What revisions there will be is found out with the contracts, which a dry run leaves.
      for (const { bundle } of loaded) report.imported(bundle.byteLength, { hasRevision: true });
      return;
    }
    await this.#each(this.#created(target, loaded), ([{ run, bundle }, created]) =>
      this.#perRun(run, async () => {
        await target.store(run, created, bundle);
        report.imported(bundle.byteLength, created);
      }),
    );
  }

  async *#created(target: ImportTarget, loaded: readonly Loaded[]): AsyncGenerator<[Loaded, TargetRun], void, void> {
    for (const one of loaded) {
      let created: TargetRun | undefined;
      await this.#perRun(one.run, async () => {
        created = await target.create(one.run);
      });
      if (created === undefined) continue;
      if (created.id === undefined) this.#parts.report.attestations.present++;
      else yield [one, created];
    }
  }

  /** A fault of this run alone is reported, and leaves it open. */
  async #perRun(run: SourceRun, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!isOfOne(error) || isTrustRefusal(error)) throw error;
      this.#open.add(run.id);
      this.#parts.report.fault(run, "attestation", run.digest, error);
    }
  }

  #each<T>(items: Iterable<T> | AsyncIterable<T>, work: (item: T) => Promise<void>): Promise<void> {
    const { signal } = this.#parts.context.caller.options();
    return atATime(items, { limit: this.#parts.jobs, signal }, work);
  }
}
