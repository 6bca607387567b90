import { CommandError } from "../errors.ts";
import { isBlank, readAtMost } from "./read-at-most.ts";

/** The most that a bundle may have, in bytes: the server's limit, known here so that nothing is sent in vain. */
const bundleLimitBytes = 32 * 1024 * 1024;

/**
 * The bytes of a bundle, exactly as they are; `-` is stdin. Refuses here what no server takes, so that no run is
 * started for it. Throws CommandError BUNDLE_EMPTY, BUNDLE_TOO_LARGE, FILE_UNREADABLE.
 */
export async function readBundle(file: string): Promise<Uint8Array> {
  const bytes = await readAtMost(file, bundleLimitBytes + 1);
  const name = file === "-" ? "stdin" : file;
  if (bytes.byteLength > bundleLimitBytes) {
    throw new CommandError(
      "BUNDLE_TOO_LARGE",
      `expected a bundle of at most ${bundleLimitBytes} bytes, ${name} has more`,
    );
  }
  if (isBlank(bytes)) {
    const what = bytes.byteLength === 0 ? "is empty" : "holds nothing but blanks";
    throw new CommandError("BUNDLE_EMPTY", `expected a bundle, ${name} ${what}`);
  }
  return bytes;
}
