import { setTimeout as sleep } from "node:timers/promises";
import type { ProcessName, ServerName } from "@attestry/dev-env/constellation";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

export type Part = ProcessName | ServerName;

export const services: readonly Part[] = [
  "attestation-ingest",
  "attestation-ingest-worker",
  "workflow-run",
  "cas-gateway",
];
export const servers: readonly Part[] = ["minio", "postgres", "redis"];

/** SIGKILL at a random moment, and back after a random while. */
export async function killAndRestart({ constellation }: World, part: Part, random: Random): Promise<void> {
  await sleep(200 + random() * 1_500);
  await constellation.kill(part);
  await sleep(random() * 1_500);
  await constellation.restart(part);
}

/** SIGSTOP: its connections stay, and nothing answers for a while. */
export async function pauseAndResume({ constellation }: World, part: Part, random: Random): Promise<void> {
  await sleep(200 + random() * 500);
  constellation.pause(part);
  await sleep(1_500 + random() * 2_000);
  constellation.resume(part);
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
