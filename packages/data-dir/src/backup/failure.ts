export type BackupFailureCode =
  /** The folder has something that no copy of files can keep, or that no copy may follow. */
  | "BACKUP_UNSUPPORTED"
  | "BACKUP_MALFORMED"
  | "BACKUP_CORRUPT"
  /** Made by a later Attestry, in a form that this one does not read. */
  | "BACKUP_NEWER"
  | "POSTGRES_RUNNING"
  /** Something is where the result was to be. */
  | "TARGET_EXISTS"
  | "TARGET_MISPLACED"
  | "FILE_UNREADABLE"
  | "FILE_UNWRITABLE";

/** Why there is no backup, or nothing was restored, as one line that the operator can act on. */
export class BackupFailure extends Error {
  override readonly name = "BackupFailure";
  readonly code: BackupFailureCode;

  constructor(code: BackupFailureCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.code = code;
  }
}

/** Does what reads `file`; a fault of the file system becomes FILE_UNREADABLE. */
export function reading<T>(file: string, work: Promise<T>): Promise<T> {
  return work.catch((cause: unknown) => {
    throw worded("FILE_UNREADABLE", `cannot read ${file}`, cause);
  });
}

/** Does what makes `file`; a fault of the file system becomes FILE_UNWRITABLE. */
export function writing<T>(file: string, work: Promise<T>): Promise<T> {
  return work.catch((cause: unknown) => {
    throw worded("FILE_UNWRITABLE", `cannot write ${file}`, cause);
  });
}

const words: Readonly<Record<string, string>> = {
  EACCES: "no permission",
  EPERM: "no permission",
  EROFS: "the file system is read-only",
  ENOENT: "no such file or folder",
  ENOTDIR: "a part of the path is no folder",
  EISDIR: "it is a folder",
  EEXIST: "there is one already",
  ENOTEMPTY: "something is there already",
  ENOSPC: "no space left",
  EDQUOT: "the quota is used up",
  ELOOP: "it is a symbolic link",
  EIO: "the disk failed",
  EBUSY: "it is in use, perhaps as a mount point",
  EXDEV: "it is on another file system",
};

function worded(code: BackupFailureCode, what: string, cause: unknown): unknown {
  const { code: fault, syscall } = cause as NodeJS.ErrnoException;
  if (fault === undefined || syscall === undefined) return cause;
  return new BackupFailure(code, `${what}: ${words[fault] ?? fault}`, { cause });
}
