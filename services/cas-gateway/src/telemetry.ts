import type { CasBackend } from "@attestry/service-kit";
import { Counter, type Registry } from "prom-client";

type Provider = CasBackend["provider"];

/** What the gateway counts; one function per event. */
export interface Telemetry {
  stored(provider: Provider, bytes: number): void;
  /** A write of what was there already. */
  existed(provider: Provider): void;
  /** A write that went on where one had broken off. */
  resumed(provider: Provider): void;
  read(provider: Provider, bytes: number): void;
  /** An object that is not what its key says. */
  corrupt(provider: Provider): void;
  deleted(provider: Provider): void;
  /** Uploads that nobody went on with, and that were removed. */
  swept(provider: Provider, uploads: number): void;
}

export function createTelemetry(registry: Registry): Telemetry {
  const registers = [registry];
  const labelNames = ["provider"] as const;
  const stored = new Counter({ name: "cas_gateway_blobs_stored_total", help: "Blobs stored", labelNames, registers });
  const storedBytes = new Counter({
    name: "cas_gateway_stored_bytes_total",
    help: "Bytes of blobs stored",
    labelNames,
    registers,
  });
  const existed = new Counter({
    name: "cas_gateway_blobs_existed_total",
    help: "Writes of blobs that were there already",
    labelNames,
    registers,
  });
  const resumed = new Counter({
    name: "cas_gateway_uploads_resumed_total",
    help: "Writes that went on where one had broken off",
    labelNames,
    registers,
  });
  const reads = new Counter({
    name: "cas_gateway_blobs_read_total",
    help: "Reads of blobs and of parts of blobs",
    labelNames,
    registers,
  });
  const readBytes = new Counter({ name: "cas_gateway_read_bytes_total", help: "Bytes read", labelNames, registers });
  const corrupt = new Counter({
    name: "cas_gateway_blobs_corrupt_total",
    help: "Reads that found a blob corrupt",
    labelNames,
    registers,
  });
  const deleted = new Counter({
    name: "cas_gateway_blobs_deleted_total",
    help: "Deletions of blobs",
    labelNames,
    registers,
  });
  const swept = new Counter({
    name: "cas_gateway_uploads_swept_total",
    help: "Uploads that nobody went on with, and that were removed",
    labelNames,
    registers,
  });
  return {
    stored(provider, bytes) {
      stored.inc({ provider });
      storedBytes.inc({ provider }, bytes);
    },
    existed: (provider) => existed.inc({ provider }),
    resumed: (provider) => resumed.inc({ provider }),
    read(provider, bytes) {
      reads.inc({ provider });
      readBytes.inc({ provider }, bytes);
    },
    corrupt: (provider) => corrupt.inc({ provider }),
    deleted: (provider) => deleted.inc({ provider }),
    swept: (provider, uploads) => swept.inc({ provider }, uploads),
  };
}
