import type { IncomingHttpHeaders } from "node:http";
import type { StoredBlob } from "./backend.ts";
import { isTagOfBytes } from "./s3-answers.ts";
import { fileNameOf } from "./s3-file-name.ts";
import { type Reference, referenceOf } from "./s3-reference.ts";

/** What HEAD says of an object. */
export interface ObjectHead extends StoredBlob {
  etag: string;
  /** Whether the same bytes, written once more, could have this tag again; else it is that of one write. */
  isTagOfBytes: boolean;
  /** Undefined: the object is its blob itself. */
  reference: Reference | undefined;
  /** Undefined: none was given. */
  fileName: string | undefined;
  /** What the store holds it by; undefined: nothing. */
  lock: HeldObject | undefined;
  /** When the store said so, by its own clock. */
  toldAt: Date;
}

/** S3 API, Object Lock: who deletes this version, or makes the time shorter, is refused. */
export interface HeldObject {
  mode: string;
  /** Undefined: there is no such time. */
  until: Date | undefined;
  /** By a legal hold: for as long as that stays. */
  isHeld: boolean;
}

export function headOf(headers: IncomingHttpHeaders): ObjectHead {
  return {
    sizeBytes: Number(headers["content-length"]),
    storedAt: new Date(String(headers["last-modified"])),
    etag: String(headers.etag),
    isTagOfBytes: isTagOfBytes(headers),
    reference: referenceOf(headers),
    fileName: fileNameOf(headers),
    lock: lockOf(headers),
    toldAt: new Date(headers.date ?? Date.now()),
  };
}

/** Whether the store refused to delete it then. */
export function isLocked({ lock, toldAt }: ObjectHead): boolean {
  return lock !== undefined && (lock.isHeld || (lock.until !== undefined && lock.until > toldAt));
}

function lockOf(headers: IncomingHttpHeaders): HeldObject | undefined {
  const mode = headers["x-amz-object-lock-mode"];
  const until = headers["x-amz-object-lock-retain-until-date"];
  const isHeld = headers["x-amz-object-lock-legal-hold"] === "ON";
  if (typeof until !== "string" && !isHeld) return undefined;
  return { mode: String(mode ?? ""), until: typeof until === "string" ? new Date(until) : undefined, isHeld };
}
