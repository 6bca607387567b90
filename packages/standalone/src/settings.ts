import { commonSettings, transportSettings } from "@attestry/service-kit";

/** What it reads itself; the services in it read theirs. Quieter than services on their own: the terminal is the operator's. */
export const settings = { ...transportSettings, logLevel: { ...commonSettings.logLevel, default: "warn" as const } };
