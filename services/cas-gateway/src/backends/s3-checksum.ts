import { crc32 } from "node:zlib";

/** A CRC-32 as S3 writes it: big-endian, base64 (S3 API, "Checking object integrity"). */
export function checksumText(crc: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc);
  return bytes.toString("base64");
}

export function checksumHeader(checksum: string): Record<string, string> {
  return { "x-amz-checksum-crc32": checksum };
}

export function checksumOf(body: Uint8Array): string {
  return checksumText(crc32(body));
}
