import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { inOwnMounts } from "@attestry/dev-env";
import { experiment } from "./experiment.ts";
import { untilStored } from "./load.ts";
import { noAnswers, type StorageOutcome, withAnswers } from "./storage-away.ts";
import type { SkipDatabase, World } from "./world.ts";

// Ends as the program that follows, so the process keeps its id.
const mounted = 'mount -t tmpfs -o size="$1" none "$2" && echo $$ > "$3" && shift 3 && exec "$@"';
const volumeBytes = 64 * 1024 * 1024;
const fullMs = 5_000;
/** Before and after. */
const storesInCalm = 30;

export interface DiskOutcome extends StorageOutcome {
  /** Why uploads said that they wait. */
  waiting: string[];
}

/** Under load, the volume of a filesystem backend is filled to its last byte, and later has its space back. */
export async function diskFull(mode: SkipDatabase): Promise<DiskOutcome> {
  const dir = await mkdtemp(path.join(tmpdir(), "attestry-disk-full-"));
  const pidFile = path.join(dir, "cas-gateway.pid");
  const casDir = path.join(dir, "cas");
  const volume = [...inOwnMounts, "sh", "-c", mounted, "sh", String(volumeBytes), casDir, pidFile];
  // The volume is the gateway's alone; others come to it through the process.
  const seenFromHere = async () => `/proc/${(await readFile(pidFile, "utf8")).trim()}/root${casDir}`;
  const during = noAnswers();
  let waiting: string[] = [];
  try {
    const outcome = await experiment({
      mode,
      world: { backend: "filesystem", dir, under: { "cas-gateway": volume }, blobsFolder: seenFromHere },
      load: { cancels: false },
      inject: async (world, load) => {
        const ballast = path.join(await seenFromHere(), "ballast");
        await untilStored(load, storesInCalm);
        await fill(ballast);
        world.faults.push("disk full");
        await withAnswers(load, during, async () => {
          await sleep(fullMs);
          waiting = await whyUploadsWait(world);
        });
        await rm(ballast);
        await untilStored(load, storesInCalm);
      },
    });
    return { ...outcome, during, waiting };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Again after a moment: a write that was under way may have given back what it had. */
async function fill(file: string): Promise<void> {
  const zeros = Buffer.alloc(volumeBytes);
  for (let times = 0; times < 3; times++) {
    await using ballast = await open(file, "a");
    const written = ballast.writeFile(zeros).then(
      () => undefined,
      (error: NodeJS.ErrnoException) => error.code,
    );
    if ((await written) !== "ENOSPC") throw new Error("the volume takes more than its size");
    await sleep(100);
  }
}

async function whyUploadsWait(world: World): Promise<string[]> {
  const rows = await world.query<{ error: string }>(
    "select distinct last_error as error from upload where state <> 'confirmed' and last_error <> ''",
  );
  return rows.map(({ error }) => error);
}
