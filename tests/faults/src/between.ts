import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ErrorInfoSchema } from "@attestry/api/errors";
import type { TcpProxy } from "@attestry/dev-env";
import type { Link } from "@attestry/dev-env/constellation";
import { experiment, type Outcome } from "./experiment.ts";
import { shuffled } from "./faults.ts";
import { type Failure, type Ledger, timed } from "./load.ts";
import { patientTransport } from "./patient-transport.ts";
import type { Random } from "./random.ts";
import type { SkipDatabase, World } from "./world.ts";

/** Which links Stores and what follows them go through; several at once where none hides the faults of another. */
const linksOf: Record<SkipDatabase, readonly (readonly Link[])[]> = {
  false: [
    ["attestation-ingest>workflow-run", "attestation-ingest-worker>cas-gateway"],
    ["attestation-ingest-worker>workflow-run", "workflow-run>cas-gateway"],
  ],
  true: [
    ["attestation-ingest>workflow-run"],
    ["attestation-ingest>cas-gateway"],
    ["cas-gateway>workflow-run", "workflow-run>cas-gateway"],
  ],
  spool: [
    ["attestation-ingest>workflow-run", "attestation-ingest-worker>cas-gateway"],
    ["attestation-ingest>cas-gateway", "attestation-ingest-worker>workflow-run"],
  ],
};

const faultMs = 2_500;
const calmMs = 500;
const stepMs = 100;
const deadlinesMs = [1_000, 3_000, 10_000] as const;

type Fault = (proxy: TcpProxy, random: Random) => void | Promise<void>;

/** What a network does to those who talk through it. Whatever they leave behind is undone by `mend`. */
const faults = {
  "adds 2 s": (proxy) => {
    proxy.up = { latencyMs: 2_000 };
  },
  "drops a tenth of the connections": async (proxy, random) => {
    proxy.takes = () => random() >= 0.1;
    await often(() => proxy.dropAll(() => random() < 0.1));
  },
  "cuts in the middle of what is sent": (proxy, random) =>
    often(() => {
      proxy.up = { cutAfter: Math.floor(random() * 4_000) };
    }),
  "cuts in the middle of what is answered": (proxy, random) =>
    often(() => {
      proxy.down = { cutAfter: Math.floor(random() * 1_000) };
    }),
  "says nothing more": (proxy) => {
    proxy.up = "stall";
    proxy.down = "stall";
  },
  "hands on no answer": (proxy) => {
    proxy.down = "stall";
  },
  "forgets the caller": (proxy) => proxy.forget("client"),
  "forgets the called": (proxy) => proxy.forget("target"),
} satisfies Record<string, Fault>;

interface Round {
  links: readonly Link[];
  fault: keyof typeof faults;
}

/** Each fault at each of the links. */
export function everyRound(mode: SkipDatabase): Round[] {
  const names = Object.keys(faults) as (keyof typeof faults)[];
  return names.flatMap((fault) => linksOf[mode].map((links) => ({ links, fault })));
}

/** Each fault once, at some of the links. */
export function someRounds(mode: SkipDatabase, random: Random): Round[] {
  const all = shuffled(everyRound(mode), random);
  return all.filter(({ fault }, index) => all.findIndex((other) => other.fault === fault) === index);
}

/**
 * Under load, the fault of each round is put between the services and taken away. No connection of a client is touched
 * and none keeps a deadline itself, so each refusal is a service's own, and one that does not say why is a bug.
 */
export async function betweenServices(mode: SkipDatabase, rounds: readonly Round[], random: Random): Promise<Outcome> {
  let failures: readonly Failure[] = [];
  const outcome = await experiment({
    mode,
    world: { links: linksOf[mode].flat(), transport: patientTransport },
    load: { clients: 12, deadlinesMs },
    inject: async (world, { ledger }) => {
      failures = ledger.failures;
      const asking = new AbortController();
      const asked = askOthers(world, ledger, asking.signal);
      for (const round of rounds) {
        await sleep(calmMs);
        await happen(world, round, random);
      }
      asking.abort();
      await asked;
    },
  });
  const unreasoned = failures
    .filter(lacksReason)
    .map(({ name, error }) => `${name} without a reason: ${error.message}`);
  return { ...outcome, bugs: [...outcome.bugs, ...unreasoned] };
}

async function happen({ constellation, faults: injected }: World, { links, fault }: Round, random: Random) {
  const proxies = links.map((link) => constellation.link(link));
  injected.push(...links.map((link) => `${link} ${fault}`));
  const end = sleep(faultMs);
  await Promise.all(proxies.map(async (proxy) => faults[fault](proxy, random)));
  await end;
  for (const proxy of proxies) mend(proxy);
}

function mend(proxy: TcpProxy): void {
  proxy.up = "pass";
  proxy.down = "pass";
  proxy.takes = () => true;
  proxy.dropForgotten();
}

/** Again and again, for as long as the fault lasts. */
async function often(happen: () => void): Promise<void> {
  for (let elapsed = 0; elapsed < faultMs; elapsed += stepMs) {
    happen();
    await sleep(stepMs);
  }
}

/** What leads from the gateway to workflow-run and back, since no Store does. */
async function askOthers({ blobs, backends }: World, ledger: Ledger, signal: AbortSignal): Promise<void> {
  const questions = [
    (timeoutMs: number) =>
      timed(ledger, "FindMissingBlobs", timeoutMs, () => {
        const blobDigests = [{ hash: randomBytes(32).toString("hex"), sizeBytes: 1n }];
        return blobs.findMissingBlobs({ blobDigests }, { timeoutMs });
      }),
    (timeoutMs: number) =>
      timed(ledger, "Validate", timeoutMs, () => backends.validate({ name: "minio" }, { timeoutMs })),
  ];
  await Promise.all(
    questions.flatMap((question) =>
      deadlinesMs.map(async (deadlineMs) => {
        while (!signal.aborted) {
          await question(deadlineMs);
          await sleep(calmMs);
        }
      }),
    ),
  );
}

function lacksReason({ error }: Failure): boolean {
  return error.findDetails(ErrorInfoSchema).length === 0;
}
