import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";

const [program, ...args] = ["unshare", "--user", "--map-root-user", "--mount"] as const;

/** Before a command line: it may mount, and nobody else sees what. */
export const inOwnMounts: readonly string[] = [program, ...args];

/** Not every machine lets a user have mounts of its own. */
export function canMount(): boolean {
  return spawnSync(program, [...args, "mount", "-t", "tmpfs", "none", tmpdir()]).status === 0;
}
