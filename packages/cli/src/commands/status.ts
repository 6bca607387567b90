import { BlobService } from "@attestry/api/cas";
import { HealthCheckResponse_ServingStatus as ServingStatus } from "@attestry/api/health";
import { AttestationService } from "@attestry/api/ingest";
import { RunService } from "@attestry/api/run";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Command } from "commander";
import { type Context, withContext } from "../context.ts";
import { CommandError } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import type { Column } from "../output/output.ts";

// A service that takes longer than this is as good as down for a person who asks.
const patienceMs = 5_000;

interface ServiceStatus {
  service: string;
  address: string;
  status: "up" | "not ready" | "not served here" | "down";
  latencyMs: number | null;
  error: string | null;
}

export function addStatusCommand(program: Command): void {
  const command = program
    .command("status")
    .summary("ask the three services for their health")
    .description("Ask the three services for their health. Exits with 5 when one is down. Needs no token.")
    .action((_options: unknown, self: Command) => withContext(self, status));
  addExamples(
    addOutputOption(
      command,
      "{services: [{service, address, status: up | not ready | not served here | down, latencyMs, error}]}",
    ),
    "attestry status",
    "attestry status --addr http://127.0.0.1:7702 --run-addr http://127.0.0.1:7701 --cas-addr http://127.0.0.1:7703",
  );
}

async function status(context: Context): Promise<void> {
  const { address, runAddress, casAddress } = context.connections;
  const services = await Promise.all([
    check(context, "workflow-run", runAddress, RunService.typeName),
    check(context, "attestation-ingest", address, AttestationService.typeName),
    check(context, "cas-gateway", casAddress, BlobService.typeName),
  ]);
  await context.printList({ services }, columns, services, "none");
  const down = services.filter((service) => service.status !== "up").map(({ service }) => service);
  if (down.length === 0) return;
  throw new CommandError("NOT_HEALTHY", `not healthy: ${down.join(", ")}`, { exitCode: exitCodes.unavailable });
}

async function check(context: Context, name: string, address: string, service: string): Promise<ServiceStatus> {
  const { signal, timeoutMs } = context.caller.options();
  const asked = { service: name, address, latencyMs: null };
  const begin = performance.now();
  try {
    const call = { signal, timeoutMs: Math.min(timeoutMs, patienceMs) };
    const answer = await context.services.health(address).check({ service }, call);
    const latencyMs = Math.round((performance.now() - begin) * 10) / 10;
    if (answer.status === ServingStatus.SERVING) return { ...asked, status: "up", latencyMs, error: null };
    if (answer.status === ServingStatus.SERVICE_UNKNOWN) return notServed(asked);
    return {
      ...asked,
      status: "not ready",
      latencyMs,
      error: "it waits for something it needs; its /readyz says for what",
    };
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    if (code === Code.NotFound || code === Code.Unimplemented) return notServed(asked);
    return { ...asked, status: "down", error: rawMessage };
  }
}

function notServed(asked: { service: string; address: string; latencyMs: null }): ServiceStatus {
  return { ...asked, status: "not served here", error: `give its address by ${addressOptions[asked.service]}` };
}

const addressOptions: Record<string, string> = {
  "workflow-run": "--run-addr",
  "attestation-ingest": "--addr",
  "cas-gateway": "--cas-addr",
};

const columns: Column<ServiceStatus>[] = [
  { head: "service", cell: ({ service }) => service },
  { head: "status", cell: (service) => service.status },
  { head: "address", cell: ({ address }) => address },
  { head: "latency", cell: ({ latencyMs }) => (latencyMs === null ? null : `${latencyMs} ms`) },
  { head: "error", cell: ({ error }) => error },
];
