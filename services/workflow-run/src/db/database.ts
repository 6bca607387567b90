import path from "node:path";
import type { Logger } from "@attestry/service-kit";
import { createPool, DatabaseReadiness, plannedOnce } from "@attestry/service-kit/postgres";
import { PrismaPg } from "@prisma/adapter-pg";
import type pg from "pg";
import { PrismaClient } from "./client/client.ts";

export interface Database {
  /** For the steps of every Store. */
  hot: pg.Pool;
  /** For lists and background work. */
  pool: pg.Pool;
  prisma: PrismaClient;
  readiness: DatabaseReadiness;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  url: string;
  connections: number;
  logger: Logger;
}

/** With the schema and its migrations. */
export const schemaDir = path.join(import.meta.dirname, "../../prisma");

/** Opens no connection yet. */
export function openDatabase({ url, connections, logger }: DatabaseOptions): Database {
  const others = Math.max(1, Math.floor(connections / 3));
  const hot = createPool({
    ...{ url, logger, applicationName: "workflow-run-hot" },
    max: connections - others,
    options: plannedOnce,
  });
  const pool = createPool({ url, applicationName: "workflow-run", max: others, logger });
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
  return {
    hot,
    pool,
    prisma,
    readiness: new DatabaseReadiness({ pool, schemaDir, logger }),
    async close() {
      await prisma.$disconnect();
      await Promise.all([hot.end(), pool.end()]);
    },
  };
}

/** For transactions of Prisma, whose defaults are too short for a busy machine; in milliseconds. */
export const transactionLimits = { maxWait: 5_000, timeout: 10_000 };
