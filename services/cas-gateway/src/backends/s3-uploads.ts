import { crc32 } from "node:zlib";
import { untilAborted } from "../blobs/abortable.ts";
import { checksumHeader, checksumText } from "./s3-checksum.ts";
import { StoreFault } from "./s3-errors.ts";
import { partBuffers } from "./s3-parts.ts";
import type { S3Requests } from "./s3-requests.ts";
import { unsignedPayload } from "./s3-signature.ts";

interface Part {
  etag: string;
  /** Base64; undefined if the store knows no checksums. */
  crc32?: string | undefined;
}

/** A multipart upload that was begun: what to send to it. */
export interface BegunUpload {
  id: string;
  checksum: boolean;
  /** The parts that are there, from the first on without a gap. */
  parts: readonly Part[];
}

export interface PartSenderOptions {
  dataKey: string;
  partBytes: number;
  /** Undefined: all parts have become an object already. */
  begin: (signal: AbortSignal) => Promise<BegunUpload | undefined>;
  /** What `begin` will give, if that is known. */
  kept: BegunUpload | undefined;
}

interface KeptPart extends Part {
  number: number;
  sizeBytes: number;
}

/** On their way while one fills: MinIO takes two at a time 1.1 to 1.2 times faster than one. */
const partsOnTheirWay = 2;
const namespace = "http://s3.amazonaws.com/doc/2006-03-01/";

/** The multipart upload of one data object: takes bytes, sends parts, and holds few of them at a time. */
export class PartSender {
  readonly #requests: S3Requests;
  readonly #dataKey: string;
  readonly #partBytes: number;
  readonly #begun: Promise<BegunUpload | undefined>;
  readonly #controller = new AbortController();
  readonly #sent: Promise<Part>[] = [];
  #underWay: Promise<Part>[] = [];
  #reserved = 0;
  #filling: Buffer | undefined;
  #filled = 0;
  #crc = 0;

  /** Begins the upload at once, while the first part fills; or goes on with the one that is given. */
  constructor(requests: S3Requests, { dataKey, partBytes, begin, kept }: PartSenderOptions) {
    this.#requests = requests;
    this.#dataKey = dataKey;
    this.#partBytes = partBytes;
    this.#begun = begin(this.#controller.signal);
    this.#begun.catch(() => undefined);
    this.#sent.push(...(kept?.parts ?? []).map(async (part) => part));
  }

  /** Takes the bytes; waits while as many parts as it may hold are on their way. */
  async add(chunk: Uint8Array, signal: AbortSignal): Promise<void> {
    for (let taken = 0; taken < chunk.byteLength; ) {
      if (this.#filling === undefined) {
        await this.#makeRoom(signal);
        this.#filling = partBuffers.take(this.#partBytes);
      }
      const piece = chunk.subarray(taken, taken + this.#partBytes - this.#filled);
      this.#filling.set(piece, this.#filled);
      // Now, while the processor has the bytes at hand.
      this.#crc = crc32(piece, this.#crc);
      this.#filled += piece.byteLength;
      taken += piece.byteLength;
      if (this.#filled === this.#partBytes) this.#send();
    }
  }

  /**
   * Sends what is left, and makes an object of the parts. False if that was done before: by an attempt of this one whose
   * answer was lost, or by somebody else.
   */
  async complete(signal: AbortSignal): Promise<boolean> {
    if (this.#filled > 0) this.#send();
    const parts = await untilAborted(() => Promise.all(this.#sent), signal);
    const begun = await untilAborted(() => this.#begun, signal);
    if (begun === undefined) return false;
    const { id } = begun;
    const body = Buffer.from(completionOf(parts));
    const query = `uploadId=${encodeURIComponent(id)}`;
    try {
      await this.#requests.multipart({ method: "POST", key: this.#dataKey, query, body }, signal, {
        check: refuseError,
      });
      return true;
    } catch (fault) {
      const isGone = fault instanceof StoreFault && fault.isUploadAbsent;
      if (isGone && (await this.#requests.head(this.#dataKey, signal)) !== undefined) return false;
      throw this.#requests.told(fault);
    }
  }

  /**
   * Ends, in that many milliseconds at most, when the parts on their way have arrived; whatever comes of them. False if it
   * is not known whether the upload was begun.
   */
  async settle(ms: number): Promise<boolean> {
    let isBegun = false;
    void this.#begun
      .finally(() => {
        isBegun = !this.#controller.signal.aborted;
      })
      .catch(() => undefined);
    const timer = setTimeout(() => this.#controller.abort(new Error("the upload ended")), ms);
    await Promise.allSettled([this.#begun, ...this.#sent]);
    clearTimeout(timer);
    return isBegun;
  }

  /** Frees what it holds. */
  close(): void {
    if (this.#filling !== undefined) partBuffers.give(this.#filling);
    partBuffers.release(this.#reserved);
    this.#filling = undefined;
    this.#reserved = 0;
    this.#filled = 0;
  }

  async #makeRoom(signal: AbortSignal): Promise<void> {
    while (this.#underWay.length * this.#partBytes > this.#reserved) {
      if (this.#underWay.length <= partsOnTheirWay && partBuffers.reserve(this.#partBytes)) {
        this.#reserved += this.#partBytes;
        continue;
      }
      const [oldest] = this.#underWay;
      await untilAborted(async () => oldest, signal);
      void this.#underWay.shift();
    }
    const spare = this.#reserved - this.#underWay.length * this.#partBytes;
    partBuffers.release(spare);
    this.#reserved -= spare;
  }

  #send(): void {
    const buffer = this.#filling as Buffer;
    const sending = this.#sendPart(this.#sent.length + 1, buffer, this.#filled, this.#crc);
    sending.catch(() => undefined);
    this.#sent.push(sending);
    this.#underWay.push(sending);
    this.#filling = undefined;
    this.#filled = 0;
    this.#crc = 0;
  }

  async #sendPart(number: number, buffer: Buffer, bytes: number, crc: number): Promise<Part> {
    try {
      const { id = "", checksum = false } = (await this.#begun) ?? {};
      const checked = checksum ? checksumText(crc) : undefined;
      const headers = checked === undefined ? {} : checksumHeader(checked);
      const body = buffer.subarray(0, bytes);
      const query = `partNumber=${number}&uploadId=${encodeURIComponent(id)}`;
      const request = { method: "PUT", key: this.#dataKey, query, headers, body } as const;
      // The checksum covers it; another SHA-256 would cost as much as the one of the blob.
      const options = checked === undefined ? {} : { payload: unsignedPayload };
      const answer = await this.#requests.multipart(request, this.#controller.signal, options);
      // Only now: of a request that failed, something may still be on its way.
      partBuffers.give(buffer);
      return { etag: String(answer.headers.etag), crc32: checked };
    } catch (fault) {
      throw this.#requests.told(fault);
    }
  }
}

/** What the store has of an upload that broke off. Undefined if it has none, or no more of it. */
export async function keptUpload(
  requests: S3Requests,
  dataKey: string,
  partBytes: number,
  signal: AbortSignal,
): Promise<BegunUpload | undefined> {
  const [id] = await requests.unfinished(dataKey, signal);
  if (id === undefined) return undefined;
  const kept: KeptPart[] = [];
  for (let marker: number | undefined = 0; marker !== undefined; ) {
    const page = await partsPage(requests, { dataKey, id, marker }, signal);
    if (page === undefined) return undefined;
    kept.push(...page.parts);
    marker = page.next;
  }
  const gap = kept.findIndex(({ number, sizeBytes }, i) => number !== i + 1 || sizeBytes !== partBytes);
  const parts = gap === -1 ? kept : kept.slice(0, gap);
  return { id, checksum: parts.every(({ crc32 }) => crc32 !== undefined), parts };
}

/** The parts after a number; undefined if the upload is gone. */
async function partsPage(
  requests: S3Requests,
  { dataKey, id, marker }: { dataKey: string; id: string; marker: number },
  signal: AbortSignal,
): Promise<{ parts: KeptPart[]; next: number | undefined } | undefined> {
  const query = `part-number-marker=${marker}&uploadId=${encodeURIComponent(id)}`;
  try {
    const { body } = await requests.multipart({ method: "GET", key: dataKey, query }, signal);
    const parts = partsOf(body);
    return { parts, next: body.includes("<IsTruncated>true</IsTruncated>") ? parts.at(-1)?.number : undefined };
  } catch (fault) {
    if (fault instanceof StoreFault && fault.isUploadAbsent) return undefined;
    throw requests.told(fault);
  }
}

/** Lets go of an unfinished upload and its parts; one that is not there is no error. */
export async function abortUpload(requests: S3Requests, dataKey: string, signal: AbortSignal): Promise<void> {
  for (const id of await requests.unfinished(dataKey, signal)) {
    const query = `uploadId=${encodeURIComponent(id)}`;
    await requests.multipart({ method: "DELETE", key: dataKey, query }, signal).catch((fault: unknown) => {
      if (!(fault instanceof StoreFault && fault.isUploadAbsent)) throw requests.told(fault);
    });
  }
}

/** S3 API, ListParts. The minio client's reader of it leaves out the checksums, which completing needs. */
function partsOf(listing: string): KeptPart[] {
  return [...listing.matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, part = ""]) => {
    const field = (name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(part)?.[1];
    const etag = field("ETag")?.replaceAll("&#34;", '"').replaceAll("&quot;", '"') ?? "";
    return {
      number: Number(field("PartNumber")),
      sizeBytes: Number(field("Size")),
      etag,
      crc32: field("ChecksumCRC32"),
    };
  });
}

/** S3 API, CompleteMultipartUpload; with the checksums, which the minio client cannot send. */
function completionOf(parts: readonly Part[]): string {
  const listed = parts.map(({ etag, crc32 }, i) => {
    const checksum = crc32 === undefined ? "" : `<ChecksumCRC32>${crc32}</ChecksumCRC32>`;
    return `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag.replaceAll('"', "&quot;")}</ETag>${checksum}</Part>`;
  });
  return `<CompleteMultipartUpload xmlns="${namespace}">${listed.join("")}</CompleteMultipartUpload>`;
}

/** Completing may answer 200 and then say that it failed (S3 API, CompleteMultipartUpload). */
function refuseError(answer: string): void {
  if (!answer.includes("<Error>") && answer.includes("CompleteMultipartUploadResult")) return;
  const code = /<Code>([^<]*)<\/Code>/.exec(answer)?.[1] ?? "InternalError";
  throw Object.assign(new Error("the store did not complete the upload"), { code });
}
