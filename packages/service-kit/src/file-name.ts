/** Of UTF-8: the most that is kept of a client's name for a file. */
export const fileNameBytes = 1_024;

/** What a client would take for a way out of its folder, or a terminal for a command. */
const unsafePattern = /^\.{0,2}$|\p{Cc}/u;

/**
 * What is kept of a client's file name: its last segment, since downloads are written under it. Undefined if that is no name
 * for a file, or too long.
 */
export function safeFileName(fileName: string): string | undefined {
  const last = fileName.slice(Math.max(fileName.lastIndexOf("/"), fileName.lastIndexOf("\\")) + 1);
  return unsafePattern.test(last) || Buffer.byteLength(last) > fileNameBytes ? undefined : last;
}
