import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";

/** A time in UTC to the second; null when it is not set. */
export function timeCell(timestamp: Timestamp | undefined): string | null {
  return timestamp === undefined
    ? null
    : timestampDate(timestamp)
        .toISOString()
        .replace(/\.\d+Z$/, "Z");
}

/** Bytes with separators, as people read them: `63,552`. */
export function bytesCell(bytes: bigint | number): string {
  return bytes.toLocaleString("en-US");
}
