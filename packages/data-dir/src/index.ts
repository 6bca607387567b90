export { type Backup, type BackupOptions, backUp } from "./backup/back-up.ts";
export { BackupFailure, type BackupFailureCode } from "./backup/failure.ts";
export { type Restored, type RestoreOptions, restore } from "./backup/restore.ts";
export { type DataDir, openDataDir, writeDurably } from "./data-dir.ts";
export { type PostmasterFile, readPostmasterFile } from "./postmaster-file.ts";
export { commandLine, isAlive, waitForExit } from "./processes.ts";
export { StartFailure, type StartFailureCode } from "./start-failure.ts";
