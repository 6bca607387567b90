import { setTimeout as sleep } from "node:timers/promises";
import { wipeRedis } from "@attestry/dev-env";
import type { ProcessName, ServerName } from "@attestry/dev-env/constellation";
import type { Random } from "./random.ts";
import type { DatabaseName, World } from "./world.ts";

export type Part = ProcessName | ServerName;

export const services: readonly ProcessName[] = [
  "attestation-ingest",
  "attestation-ingest-worker",
  "workflow-run",
  "cas-gateway",
];
export const databases: readonly DatabaseName[] = ["run", "ingest"];
export const servers: readonly ServerName[] = ["minio", "redis", "postgres-run", "postgres-ingest"];

/** SIGKILL at a random moment, and back after a random while. */
export async function killAndRestart(world: World, part: Part, random: Random): Promise<void> {
  await sleep(200 + random() * 1_500);
  await world.mended.beforeEnd(part);
  await world.constellation.kill(part);
  world.faults.push(`${part} killed`);
  await sleep(random() * 1_500);
  await world.constellation.restart(part);
}

/** SIGSTOP: its connections stay, and nothing answers for a while. */
export async function pauseAndResume({ constellation, faults }: World, part: Part, random: Random): Promise<void> {
  await sleep(200 + random() * 500);
  constellation.pause(part);
  faults.push(`${part} paused`);
  await sleep(1_500 + random() * 2_000);
  constellation.resume(part);
}

/** PostgreSQL's immediate shutdown: what was not committed is gone, and its log is replayed at the start. */
export async function quitAndRestart(world: World, database: DatabaseName, random: Random): Promise<void> {
  await sleep(200 + random() * 500);
  await world.constellation.quit(`postgres-${database}`);
  world.faults.push(`postgres-${database} shut down at once`);
  await sleep(random() * 1_500);
  await world.constellation.restart(`postgres-${database}`);
}

/** Each connection that a service has to its database at this time is cut, one by one, in a random order. */
export async function cutConnections(world: World, database: DatabaseName, random: Random): Promise<void> {
  const sessions = await world.query<{ pid: number }>(
    `select pid from pg_stat_activity
     where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()`,
    database,
  );
  for (const { pid } of shuffled(sessions, random)) {
    await world.query(`select pg_terminate_backend(${pid})`, database);
    world.faults.push(`a connection to postgres-${database} cut`);
    await sleep(20 + random() * 100);
  }
}

/** Redis forgets everything, again and again. */
export async function wipeCache({ constellation, faults }: World, random: Random): Promise<void> {
  const { redis } = constellation.servers;
  if (redis === undefined) throw new Error("this world has no Redis");
  for (let times = 0; times < 5; times++) {
    await wipeRedis(redis);
    faults.push("redis wiped");
    await sleep(100 + random() * 200);
  }
}

/** In an order that the seed decides. */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const all = [...items];
  for (let last = all.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [all[last], all[other]] = [all[other] as T, all[last] as T];
  }
  return all;
}
