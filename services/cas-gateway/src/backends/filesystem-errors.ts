import { DomainError } from "@attestry/service-kit";
import { backendFull, backendMisconfigured, backendUnavailable } from "./backend.ts";
import { codeOf } from "./error-code.ts";

const rights = "give the user that the gateway runs as the right to read and write it";
const path = "correct the path in the backend's secret or the backend's prefix";
/** Faults that stay until somebody acts, and what there is to do. */
const remedies = new Map([
  ["EACCES", rights],
  ["EPERM", rights],
  ["EROFS", "its volume is read-only: mount it for writing"],
  // Only of a write, which had made what was missing: for a read it is a blob that is not there.
  [
    "ENOENT",
    "it cannot be created; check that its volume is mounted and that its path goes through no link to nothing",
  ],
  ["ENOTDIR", `a part of its path is a file: ${path}`],
  ["ENAMETOOLONG", `its path is too long: ${path}`],
  ["ELOOP", `its path goes through links in a circle: ${path}`],
  ["EINVAL", path],
  ["EXDEV", "another volume is mounted within it: move that elsewhere"],
  ["EFBIG", "its file system takes no files of that size: lower the backend's max_bytes, or use another volume"],
]);
const folderCodes = new Set(["EISDIR", "ENOTEMPTY", "EEXIST"]);

/** Undefined for what is not there; throws any other fault as `throwFault` does. */
export function absentOrFault(error: unknown): undefined {
  if (codeOf(error) === "ENOENT") return undefined;
  throwFault(error);
}

/** Node's own messages hold the path, so only the code is passed on. */
export function throwFault(error: unknown): never {
  const code = codeOf(error);
  if (error instanceof DomainError || code === undefined) throw error;
  if (code === "ENOSPC" || code === "EDQUOT") throw backendFull(error);
  if (folderCodes.has(code)) throw backendMisconfigured("a folder lies where the blob belongs: move it away", error);
  const remedy = remedies.get(code);
  if (remedy !== undefined) throw backendMisconfigured(`the folder answered ${code}: ${remedy}`, error);
  throw backendUnavailable(`the folder answered ${code}`, error);
}
