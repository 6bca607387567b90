import { CommandError } from "../errors.ts";
import { isBlank, readAtMost } from "./read-at-most.ts";

/** The most that the text of a contract may have, in bytes: the server's limit. */
const contractLimitBytes = 1024 * 1024;

/**
 * The text of a contract, exactly as it is; `-` is stdin. An empty one would stand for the contract that asks for nothing,
 * which nobody means who gives a file. Throws CommandError CONTRACT_INVALID, FILE_UNREADABLE.
 */
export async function readContract(file: string): Promise<Uint8Array> {
  const bytes = await readAtMost(file, contractLimitBytes + 1);
  const name = file === "-" ? "stdin" : file;
  if (bytes.byteLength > contractLimitBytes)
    throw new CommandError("CONTRACT_INVALID", `expected a contract of at most 1 MiB, ${name} has more`);
  if (isBlank(bytes)) throw new CommandError("CONTRACT_INVALID", `expected a contract, ${name} has none`);
  return bytes;
}
