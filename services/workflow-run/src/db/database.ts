import type { Logger } from "@attestry/service-kit";
import { createPool } from "@attestry/service-kit/postgres";
import { PrismaPg } from "@prisma/adapter-pg";
import type pg from "pg";
import { PrismaClient } from "./client/client.ts";

/** One pool of connections: for Prisma, and for the statements that must be quick. */
export interface Database {
  pool: pg.Pool;
  prisma: PrismaClient;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  url: string;
  connections: number;
  logger: Logger;
}

/** Opens no connection yet. */
export function openDatabase({ url, connections, logger }: DatabaseOptions): Database {
  const pool = createPool({ url, applicationName: "workflow-run", max: connections, logger });
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
  return {
    pool,
    prisma,
    async close() {
      await prisma.$disconnect();
      await pool.end();
    },
  };
}

/** For transactions of Prisma, whose defaults are too short for a busy machine; in milliseconds. */
export const transactionLimits = { maxWait: 5_000, timeout: 10_000 };
