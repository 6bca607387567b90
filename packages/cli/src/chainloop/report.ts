import type { Context } from "../context.ts";
import { CommandError, describeError, reasonOf } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";
import { bytesCell } from "../output/cells.ts";
import { printable } from "../output/printable.ts";
import type { SourceRun } from "./chainloop-database.ts";
import { isDamage } from "./faults.ts";

interface Fault {
  /** Null: of something that is no run's. */
  runId: string | null;
  digest: string | null;
  /** `attestation`, `material`, or what else by its name. */
  what: string;
  reason: string;
  message: string;
}

/** Named one by one in the table; JSON has more. */
const mostNamed = 20;
const mostKept = 10_000;

/** What became of all that was to be imported. */
export class ImportReport {
  /** `ofLatestRevision`: those imported of which it is not known here what revision of their contract they used. */
  readonly attestations = { imported: 0, present: 0, sizeBytes: 0, ofLatestRevision: 0 };
  readonly materials = { uploaded: 0, present: 0, sizeBytes: 0 };
  readonly definitions = { contracts: 0, revisions: 0, workflows: 0, releasedVersions: 0 };
  readonly #context: Context;
  readonly #faults: Fault[] = [];
  readonly #failed = { attestations: 0, materials: 0, others: 0 };
  #damaged = 0;
  readonly #legacy: string[] = [];
  #legacyCount: number;
  /** What is said comes out in order; who imports waits for it. */
  #saying: Promise<void> = Promise.resolve();

  /** @param earlier what imports before this one have settled */
  constructor(context: Context, earlier: { done: number; legacy: number }) {
    this.#context = context;
    this.attestations.present = earlier.done;
    this.#legacyCount = earlier.legacy;
  }

  imported(sizeBytes: number, { hasRevision }: { hasRevision: boolean }): void {
    this.attestations.imported++;
    this.attestations.sizeBytes += sizeBytes;
    if (!hasRevision) this.attestations.ofLatestRevision++;
  }

  uploaded(sizeBytes: number): void {
    this.materials.uploaded++;
    this.materials.sizeBytes += sizeBytes;
  }

  /** A run whose attestation is not there as it was sent. */
  legacy(run: SourceRun): void {
    if (this.#legacy.length < mostKept) this.#legacy.push(run.id);
    if (++this.#legacyCount > mostNamed) return;
    this.#say(
      `run ${run.id} of ${run.project}/${run.workflow}: not imported: it is from before chainloop kept bundles`,
    );
  }

  fault(run: SourceRun, what: "attestation" | "material", digest: string | null, error: unknown): void {
    this.#failed[`${what}s`]++;
    const place = `run ${run.id} of ${run.project}/${run.workflow}: ${what} ${digest ?? "without a digest"}`;
    this.#keep({ runId: run.id, digest, what }, place, error);
  }

  /** A contract or a workflow could not be imported. */
  otherFault(what: string, error: unknown): void {
    this.#failed.others++;
    this.#keep({ runId: null, digest: null, what }, what, error);
  }

  get isComplete(): boolean {
    const { attestations, materials, others } = this.#failed;
    return attestations + materials + others === 0;
  }

  /** Resolves when all that was to be said is out. */
  said(): Promise<void> {
    return this.#saying;
  }

  async print(about: { organization: string; dryRun: boolean; progressFile: string | null }): Promise<void> {
    await this.#saying;
    const { attestations, materials, definitions } = this;
    const legacy = { count: this.#legacyCount, runIds: this.#legacy };
    const failed = this.#failed;
    const [done, sent] = about.dryRun ? ["to import", "to upload"] : ["imported", "uploaded"];
    await this.#context.printObject(
      { ...about, attestations, materials, definitions, legacy, failed, faults: this.#faults },
      {
        organization: about.organization,
        attestations: counts(done, attestations.imported, attestations.present, failed.attestations),
        "bytes of attestations": bytesCell(attestations.sizeBytes),
        materials: counts(sent, materials.uploaded, materials.present, failed.materials),
        "bytes of materials": bytesCell(materials.sizeBytes),
        ...(!about.dryRun && {
          contracts: `${definitions.contracts} created, of ${definitions.revisions} revisions`,
          workflows: `${definitions.workflows} created`,
        }),
        ...(attestations.ofLatestRevision > 0 && {
          "revision not known": `${attestations.ofLatestRevision} runs, noted as of the latest of their contracts`,
        }),
        ...(this.#legacyCount > 0 && { "without a bundle": `${this.#legacyCount} runs, not imported` }),
      },
    );
  }

  /** Throws IMPORT_INCOMPLETE if something could not be imported. */
  check(): void {
    if (this.isComplete) return;
    const { attestations, materials, others } = this.#failed;
    const rest = others === 0 ? "" : ` and ${others} contracts and workflows`;
    const message = `${attestations} attestations and ${materials} materials${rest} could not be imported`;
    throw new CommandError("IMPORT_INCOMPLETE", message, {
      exitCode: this.#damaged > 0 ? exitCodes.corrupt : exitCodes.refused,
    });
  }

  #keep(of: Pick<Fault, "runId" | "digest" | "what">, place: string, error: unknown): void {
    if (isDamage(error)) this.#damaged++;
    const { message } = error as Error;
    if (this.#faults.length < mostKept) this.#faults.push({ ...of, reason: reasonOf(error) ?? "", message });
    this.#say(`${printable(place)}: ${describeError(error).trimEnd()}`);
  }

  #say(text: string): void {
    this.#saying = this.#saying.then(() => this.#context.note(text));
    // Whoever waits for it sees its fault.
    this.#saying.catch(() => undefined);
  }
}

function counts(what: string, done: number, present: number, failed: number): string {
  const rest = [...(present > 0 ? [`${present} there already`] : []), ...(failed > 0 ? [`${failed} failed`] : [])];
  return [`${done} ${what}`, ...rest].join(", ");
}
