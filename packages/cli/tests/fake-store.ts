import { AttestationService } from "@attestry/api/ingest";
import { RunService, type RunServiceCancelRequest, RunState } from "@attestry/api/run";
import type { ServiceImpl } from "@connectrpc/connect";
import { startFakeServer } from "./fake-server.ts";

/** Of every run that the fake server starts. */
export const runId = "0198a6e0-7a52-7cc3-98b8-5d2d5a0c6f10";

/** Serves these handlers and records the runs that were started and cancelled. */
export async function serve(attestations: Partial<ServiceImpl<typeof AttestationService>>) {
  const created: string[] = [];
  const cancelled: RunServiceCancelRequest[] = [];
  const server = await startFakeServer((router) => {
    router.service(AttestationService, attestations);
    router.service(RunService, {
      create(request) {
        created.push(request.idempotencyKey);
        return {
          run: { id: runId, project: request.project, workflow: request.workflow, state: RunState.INITIALIZED },
        };
      },
      cancel(request) {
        cancelled.push(request);
        return { run: { id: runId, state: RunState.ERROR } };
      },
    });
  });
  return { created, cancelled, addr: ["--addr", server.url, "--token", "t"], stop: () => server.stop() };
}
