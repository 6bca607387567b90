import { ReferenceService } from "@attestry/api/ingest";
import { type Logger, reasonOf } from "@attestry/service-kit";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { digestOf, parseDigest } from "../blobs/blob-ref.ts";

const timeoutMs = 30_000;
const pageSize = 1_000;
const unknownThere = new Set(["METHOD_UNKNOWN", "SERVICE_UNKNOWN"]);

/** One backend of one organization, by their ids. */
export interface Whose {
  organizationId: string;
  backendId: string;
}

/** Which bundles ought to be in a backend; attestation-ingest knows. */
export class References {
  readonly #references: Client<typeof ReferenceService>;
  readonly #logger: Logger;

  constructor({ ingest, logger }: { ingest: Transport; logger: Logger }) {
    this.#references = createClient(ReferenceService, ingest);
    this.#logger = logger;
  }

  /**
   * Hex digits of their digests in ascending order, beginning after one ("": at the first), a page at a time. Throws
   * PEER_UNAVAILABLE.
   */
  async *list(whose: Whose, after: string, signal: AbortSignal): AsyncGenerator<string, void, void> {
    for (let last: string | undefined = after; last !== undefined; ) {
      const found: string[] = await this.#page(whose, last, pageSize, signal);
      yield* found;
      last = found.length < pageSize ? undefined : found.at(-1);
    }
  }

  /** Whether that bundle ought to be there now. */
  async includes(whose: Whose, hex: string, signal: AbortSignal): Promise<boolean> {
    const [found] = await this.#page(whose, before(hex), 1, signal);
    return found === hex;
  }

  async #page(whose: Whose, after: string, size: number, signal: AbortSignal): Promise<string[]> {
    const request = { ...whose, afterDigest: after === "" ? "" : digestOf(after), pageSize: size };
    try {
      const { bundles } = await this.#references.listBundles(request, { signal, timeoutMs });
      return bundles.map(({ digest }) => parseDigest(digest));
    } catch (error) {
      // An attestation-ingest of the release before: nothing is known to be missing.
      if (!unknownThere.has(reasonOf(error) ?? "")) throw error;
      this.#logger.warn({ err: error }, "attestation-ingest cannot say which bundles ought to be stored");
      return [];
    }
  }
}

/** The digest before this one; "" before the first. */
function before(hex: string): string {
  const value = BigInt(`0x${hex}`);
  return value === 0n ? "" : (value - 1n).toString(16).padStart(hex.length, "0");
}
