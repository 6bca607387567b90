import { StorageMode } from "@attestry/api/run";
import type { Mode } from "./attestation.ts";

/** ATTESTATIONS_SKIP_DB_STORAGE. */
export type SkipDatabase = "false" | "true" | "spool";

/**
 * Where the bytes of an attestation go. An inline backend is the database itself; for an external one the
 * organization's override, if it has one, stands above the setting of the service.
 */
export function decideMode(backend: "inline" | "external", setting: SkipDatabase, override: StorageMode): Mode {
  if (backend === "inline") return "database";
  switch (override) {
    case StorageMode.DATABASE:
      return "database";
    case StorageMode.CAS:
      return "cas";
    case StorageMode.SPOOL:
      return "spool";
    default:
      return ofSetting[setting];
  }
}

const ofSetting: Record<SkipDatabase, Mode> = { false: "database", true: "cas", spool: "spool" };
