import type { Registry } from "prom-client";
import type { Logger } from "../observe/logger.ts";
import { Periodic } from "../periodic.ts";
import { areSame, type CertificateFiles, type Certificates, readCertificates } from "./certificate-files.ts";
import { type CertificateTelemetry, createCertificateTelemetry } from "./telemetry.ts";

export interface WatchOptions {
  files: CertificateFiles;
  /** What they are for. */
  use: "server" | "peers";
  logger: Logger;
  metrics: Registry;
}

/** Time between two looks at the files. */
const everyMs = 5_000;
/** From then on it is warned of a certificate that runs out. */
const soonMs = 14 * 86_400_000;

/**
 * Certificates that are taken up anew when their files change, whichever way: written over, renamed, or by the links of
 * a Kubernetes secret. So the bytes are compared, which are few. Files that cannot be used, such as a certificate whose key
 * is still to be written, change nothing; it is logged and shown until it is mended.
 */
export class WatchedCertificates {
  readonly #options: WatchOptions;
  readonly #telemetry: CertificateTelemetry;
  readonly #watch: Periodic;
  readonly #listeners = new Set<(certificates: Certificates) => void>();
  #current: Certificates;
  #fault: string | undefined;

  private constructor(options: WatchOptions, first: Certificates) {
    this.#options = options;
    this.#current = first;
    this.#telemetry = createCertificateTelemetry(options.metrics);
    this.#watch = new Periodic({
      name: "the look at certificate files",
      intervalMs: everyMs,
      work: () => this.#look(),
      logger: options.logger,
    });
    this.#show();
  }

  /** Throws what readCertificates throws: a process does not start without its certificates. */
  static async open(options: WatchOptions): Promise<WatchedCertificates> {
    const watched = new WatchedCertificates(options, await readCertificates(options.files));
    watched.#watch.start();
    return watched;
  }

  get current(): Certificates {
    return this.#current;
  }

  /** Hears of the certificates that take the place of the current ones. Returns how to hear no more. */
  onChange(listener: (certificates: Certificates) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  destroy(): Promise<void> {
    return this.#watch.destroy();
  }

  async #look(): Promise<void> {
    const { files, use, logger } = this.#options;
    try {
      const found = await readCertificates(files);
      const isChanged = !areSame(found, this.#current);
      if (isChanged) refuseWorse(found, this.#current);
      this.#settled(undefined);
      if (!isChanged) return;
      this.#current = found;
      for (const listener of this.#listeners) listener(found);
      this.#telemetry.reloaded(use, "taken");
      this.#show();
      logger.info({ use, until: found.validity?.until }, "certificates were taken up from their files");
    } catch (error) {
      this.#settled(error as Error);
    }
  }

  /** Each fault is told once, however long it lasts. */
  #settled(error: Error | undefined): void {
    const { use, logger } = this.#options;
    this.#telemetry.broken(use, error !== undefined);
    if (error !== undefined && error.message !== this.#fault) {
      this.#telemetry.reloaded(use, "refused");
      logger.error({ use, err: error }, "certificate files cannot be used; the ones before stay in use");
    }
    this.#fault = error?.message;
  }

  #show(): void {
    const { use, logger } = this.#options;
    const { validity } = this.#current;
    if (validity === undefined) return;
    this.#telemetry.validUntil(use, validity.until);
    const leftMs = validity.until.getTime() - Date.now();
    if (leftMs <= 0) logger.error({ use, until: validity.until }, "the certificate has run out; nobody will accept it");
    else if (leftMs < soonMs) logger.warn({ use, until: validity.until }, "the certificate runs out soon");
  }
}

/** One that nobody accepts must not take the place of one that is good. */
function refuseWorse(found: Certificates, current: Certificates): void {
  if (found.validity === undefined || !isGood(current)) return;
  const { from, until } = found.validity;
  if (!isGood(found))
    throw new Error(`the certificate is good only from ${from.toISOString()} until ${until.toISOString()}`);
}

function isGood({ validity }: Certificates): boolean {
  const now = Date.now();
  return validity !== undefined && validity.from.getTime() <= now && now < validity.until.getTime();
}
