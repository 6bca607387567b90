import { Counter, type Registry } from "prom-client";

/** What this service counts. */
export class Telemetry {
  readonly #started: Counter;
  readonly #ended: Counter<"state">;
  readonly #validations: Counter<"result">;
  readonly #casTokens: Counter<"role">;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#started = new Counter({ name: "attestry_runs_started_total", help: "Runs started", registers });
    this.#ended = new Counter({
      name: "attestry_runs_ended_total",
      help: "Runs ended, by their final state",
      labelNames: ["state"],
      registers,
    });
    this.#validations = new Counter({
      name: "attestry_backend_validations_total",
      help: "Validations of CAS backends, by result",
      labelNames: ["result"],
      registers,
    });
    this.#casTokens = new Counter({
      name: "attestry_cas_tokens_issued_total",
      help: "CAS tokens issued, by role",
      labelNames: ["role"],
      registers,
    });
  }

  runStarted(): void {
    this.#started.inc();
  }

  runsEnded(state: "success" | "error" | "cancelled" | "expired", count = 1): void {
    this.#ended.inc({ state }, count);
  }

  backendValidated(result: "valid" | "invalid" | "unreachable"): void {
    this.#validations.inc({ result });
  }

  casTokenIssued(role: "uploader" | "downloader" | "manager"): void {
    this.#casTokens.inc({ role });
  }
}
