import type { StartFailureCode } from "@attestry/data-dir";

/** What the command line finds without a server, with what it means: docs/errors.md is made of it. */
export const ownReasons = {
  CONNECTION_FAILED: "no server answers at the address",
  TIMED_OUT: "not done in the time that --timeout gives",
  INTERRUPTED: "ended by a signal",
  NOT_HEALTHY: "`status`: a service does not answer, or not that it can serve",
  PUBLIC_URL_UNSET: "`blob link`: the server does not know the address that browsers reach it at",
  FILE_UNREADABLE: "a local file or folder cannot be read",
  FILE_UNWRITABLE: "a local file or folder cannot be written",
  KEY_NOT_FOUND: "`key remove`: the folder has no such former key",
  ID_TOKEN_MISSING: "`token exchange`: the CI system gave no ID token",
  FILES_FAILED: "`blob sync`: not all files were uploaded; each failure has a line of its own",
  SIGNATURE_NOT_CHECKED: "`verify`: the bundle carries no key, and none was given",
  CONTENT_CORRUPT: "what came is not what its digest names; nothing was written",
  BLOB_CORRUPT: "what came of a blob is not what its digest and size name",
  BLOBS_DAMAGED: "`backend scrub`: blobs are corrupt or missing and could not be repaired",
  SIZE_MISMATCH: "the file that was being uploaded has another size than when it was opened",
  SOURCE_CHANGED: "the file that was being uploaded changed meanwhile",
  GC_INCOMPLETE: "`gc --delete`: not all could be deleted; run it again",
  MIGRATION_INCOMPLETE: "`backend migrate`: some bundles were tried for days and given up",
  SOURCE_INVALID: "`import`: what was named as the source is not one, such as a database that is not chainloop's",
  SOURCE_REFUSED: "`import`: the database or the bucket of the source refuses to be read",
  SOURCE_UNAVAILABLE: "`import`: the database or the bucket of the source does not answer",
  SOURCE_MISSING: "`import`: the source names something that it does not have",
  SOURCE_CORRUPT: "`import`: what the source has is not what its digest names; it was not imported",
  IMPORT_INCOMPLETE: "`import`: not all could be imported; each failure has a line of its own",
  DATA_DIR_FOREIGN: "the folder is no data directory of Attestry",
  DATA_DIR_LOCKED: "a running server uses the data directory",
  DATA_DIR_NEWER: "the data directory was written by a newer Attestry",
  DATA_DIR_NOT_WRITABLE: "the data directory cannot be used",
  POSTGRES_RUNNING: "`backup`: a PostgreSQL outlived its server",
  TARGET_EXISTS: "something is where the backup or the data directory was to be",
  TARGET_MISPLACED: "a backup inside its data directory, or the other way round",
  BACKUP_UNSUPPORTED: "the data directory has what no backup can have, such as a link; no backup was made",
  BACKUP_MALFORMED: "the folder is no backup, or its parts do not go together; nothing was restored",
  BACKUP_CORRUPT: "a file of the backup is missing or damaged; nothing was restored",
  BACKUP_NEWER: "the backup was made by a newer Attestry; nothing was restored",
} as const;

/** Of those of servers, what a command finds before it asks one. */
type SharedReason =
  | "BACKEND_INVALID"
  | "BACKEND_NOT_FOUND"
  | "BUNDLE_EMPTY"
  | "BUNDLE_TOO_LARGE"
  | "CONTRACT_INVALID"
  | "ORGANIZATION_NOT_FOUND"
  | "PAGE_TOKEN_INVALID";

export type CommandReason = keyof typeof ownReasons | SharedReason | StartFailureCode;
