/** What mended something, and how often. */
export type MendedBy = Record<string, number>;

/** Counters of attestation-ingest that tell of mending, and in what words. */
const counters: readonly { pattern: RegExp; by: string }[] = [
  { pattern: /^attestry_ingest_reconciled_total\{outcome="completed"\} (\d+)/m, by: "reconciler completed" },
  { pattern: /^attestry_ingest_reconciled_total\{outcome="removed"\} (\d+)/m, by: "reconciler removed" },
  { pattern: /^attestry_ingest_reconciled_total\{outcome="requeued"\} (\d+)/m, by: "reconciler requeued" },
  { pattern: /^attestry_ingest_upload_leases_ended_total (\d+)/m, by: "lease claimed again" },
  { pattern: /^attestry_ingest_uploads_made_due_total (\d+)/m, by: "made due by a recovered backend" },
];

/**
 * Sums what processes say of their mending. Their counters die with them, so each is asked before it is killed and all
 * at the end: the sums are what was mended at least.
 */
export class Mended {
  readonly #urls: Readonly<Record<string, string>>;
  readonly #sums: MendedBy = {};

  /** Of the processes that mend, by name. */
  constructor(urls: Readonly<Record<string, string>>) {
    this.#urls = urls;
  }

  /** Before the process of that name ends; of no meaning for others. */
  async beforeEnd(name: string): Promise<void> {
    const url = this.#urls[name];
    if (url === undefined) return;
    const text = await metricsAt(url);
    for (const { pattern, by } of counters) {
      const count = Number(pattern.exec(text)?.[1] ?? 0);
      if (count > 0) this.#sums[by] = (this.#sums[by] ?? 0) + count;
    }
  }

  /** With what all of them say now; ask once, at the end. */
  async total(): Promise<MendedBy> {
    for (const name of Object.keys(this.#urls)) await this.beforeEnd(name);
    return { ...this.#sums };
  }
}

/** Nothing, if it does not answer. */
async function metricsAt(url: string): Promise<string> {
  try {
    const response = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(1_000) });
    return await response.text();
  } catch {
    return "";
  }
}
