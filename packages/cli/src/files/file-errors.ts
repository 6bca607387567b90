import path from "node:path";
import { CommandError } from "../errors.ts";

/** Why a file could not be read, in words: CommandError FILE_UNREADABLE. */
export function unreadable(file: string, cause: unknown): CommandError {
  const code = codeOf(cause);
  const problems: Record<string, string> = {
    ENOENT: `no such file: ${file}`,
    ENOTDIR: `no such file: ${file}`,
    EISDIR: `${file} is a folder`,
    EACCES: `no permission to read ${file}`,
    EPERM: `no permission to read ${file}`,
  };
  return new CommandError("FILE_UNREADABLE", problems[code] ?? `cannot read ${file} (${code})`, { cause });
}

/** Why a file could not be written, by the name that the person gave: CommandError FILE_UNWRITABLE. */
export function unwritable(file: string, cause: unknown): CommandError {
  const code = codeOf(cause);
  const problems: Record<string, string> = {
    ENOENT: `no such folder: ${path.dirname(file)}`,
    ENOTDIR: `no such folder: ${path.dirname(file)}`,
    EISDIR: `${file} is a folder`,
    EACCES: `no permission to write ${file}`,
    EPERM: `no permission to write ${file}`,
    EROFS: `no permission to write ${file}: the file system is read-only`,
    ENOSPC: `no space left to write ${file}`,
    ENAMETOOLONG: `the name is too long: ${file}`,
  };
  return new CommandError("FILE_UNWRITABLE", problems[code] ?? `cannot write ${file} (${code})`, { cause });
}

function codeOf(cause: unknown): string {
  return (cause as NodeJS.ErrnoException).code ?? "unknown cause";
}

/** A fault of the file system while a file was read as CommandError FILE_UNREADABLE; any other as it is. */
export function fileFault(file: string, error: unknown): unknown {
  return isOfFileSystem(error) ? unreadable(file, error) : error;
}

/** A fault of the file system while a file was written as CommandError FILE_UNWRITABLE; any other as it is. */
export function unwritableFault(file: string, error: unknown): unknown {
  return isOfFileSystem(error) ? unwritable(file, error) : error;
}

function isOfFileSystem(error: unknown): boolean {
  return error instanceof Error && "syscall" in error && "code" in error;
}
