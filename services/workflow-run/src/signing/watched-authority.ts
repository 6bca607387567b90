import { readFile } from "node:fs/promises";
import { DomainError, type Logger, Periodic, SettingError } from "@attestry/service-kit";
import { SigningAuthority, type SigningPair } from "@attestry/service-kit/certificates";
import type { Config } from "../config.ts";

type SigningConfig = Pick<Config, "signingCaCertFile" | "signingCaKeyFile">;

interface Files {
  certFile: string;
  keyFile: string;
}

const dayMs = 86_400_000;
/** Time between two looks at the files, in milliseconds, as at those of TLS. */
const everyMs = 5_000;
/** From then on it is warned of an authority that runs out. */
const soonMs = 30 * dayMs;

/** The signing authority of the settings; undefined: none is set. Throws SettingError. */
export async function openSigning(
  { signingCaCertFile: certFile, signingCaKeyFile: keyFile }: SigningConfig,
  logger: Logger,
): Promise<WatchedAuthority | undefined> {
  if (certFile === undefined && keyFile === undefined) return undefined;
  if (certFile === undefined || keyFile === undefined)
    throw new SettingError(
      `SIGNING_CA_CERT_FILE and SIGNING_CA_KEY_FILE go together; only SIGNING_CA_${certFile === undefined ? "KEY" : "CERT"}_FILE is set`,
    );
  return WatchedAuthority.open({ certFile, keyFile }, logger);
}

/** No signing authority is set. */
export function signingNotSetUp(): DomainError {
  return new DomainError(
    "SIGNING_NOT_SET_UP",
    "this server has no signing authority (SIGNING_CA_CERT_FILE, SIGNING_CA_KEY_FILE): sign with a key of your own",
  );
}

/**
 * An authority that is taken up anew when its files change. Files that cannot be used, such as a certificate whose key is
 * still to be written, change nothing, and are logged until they are mended.
 */
export class WatchedAuthority {
  readonly #files: Files;
  readonly #logger: Logger;
  readonly #watch: Periodic;
  #pair: SigningPair;
  #current: SigningAuthority;
  #fault: string | undefined;
  /** By performance.now(). */
  #warnedAt = Number.NEGATIVE_INFINITY;

  private constructor(files: Files, pair: SigningPair, logger: Logger) {
    this.#files = files;
    this.#logger = logger;
    this.#pair = pair;
    this.#current = SigningAuthority.load(pair);
    this.#watch = new Periodic({
      name: "the look at the files of the signing authority",
      intervalMs: everyMs,
      work: () => this.look(),
      logger,
    });
    this.#warn();
  }

  /** Throws SettingError: the files cannot be read, or are no authority's that is good now. */
  static async open(files: Files, logger: Logger): Promise<WatchedAuthority> {
    try {
      return new WatchedAuthority(files, await read(files), logger);
    } catch (cause) {
      const message = `SIGNING_CA_CERT_FILE (${files.certFile}) and SIGNING_CA_KEY_FILE (${files.keyFile}) are no signing authority: ${(cause as Error).message}`;
      throw new SettingError(message, { cause });
    }
  }

  get current(): SigningAuthority {
    return this.#current;
  }

  start(): void {
    this.#watch.start();
  }

  destroy(): Promise<void> {
    return this.#watch.destroy();
  }

  /** Takes up what stands in the files, if it is another authority that can be used. */
  async look(): Promise<void> {
    try {
      const pair = await read(this.#files);
      if (pair.cert !== this.#pair.cert || pair.key !== this.#pair.key) {
        this.#current = SigningAuthority.load(pair);
        this.#pair = pair;
        this.#logger.info({ until: this.#current.until }, "the signing authority was taken up from its files");
        this.#warnedAt = Number.NEGATIVE_INFINITY;
      }
      this.#warn();
      this.#fault = undefined;
    } catch (error) {
      const { message } = error as Error;
      // Each fault is told once, however long it lasts.
      if (message !== this.#fault)
        this.#logger.error(
          { err: error },
          "the files of the signing authority cannot be used; the one before stays in use",
        );
      this.#fault = message;
    }
  }

  /** Once a day. */
  #warn(): void {
    const { until } = this.#current;
    if (until.getTime() - Date.now() >= soonMs || performance.now() - this.#warnedAt < dayMs) return;
    this.#warnedAt = performance.now();
    this.#logger.warn({ until }, "the signing authority runs out soon");
  }
}

async function read({ certFile, keyFile }: Files): Promise<SigningPair> {
  const [cert, key] = await Promise.all([readFile(certFile, "utf8"), readFile(keyFile, "utf8")]);
  return { cert, key };
}
