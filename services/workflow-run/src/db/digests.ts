/** The 32 bytes of a `sha256:<hex>`. */
export function digestBytes(digest: string): Buffer {
  return Buffer.from(digest.slice("sha256:".length), "hex");
}

/** The `sha256:<hex>` of 32 bytes. */
export function digestText(bytes: Buffer | null): string | null {
  return bytes === null ? null : `sha256:${bytes.toString("hex")}`;
}
