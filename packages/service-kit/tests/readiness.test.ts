import { expect, test } from "@jest/globals";
import { createLogger, type ServiceModule } from "../src/index.ts";
import { readiness } from "../src/server/health.ts";

const logger = createLogger({ name: "test", level: "silent" });

function withFault(error: unknown): ServiceModule {
  return { name: "workflow-run", ready: () => Promise.reject(error) } as Partial<ServiceModule> as ServiceModule;
}

test.each([
  [
    "away",
    Object.assign(new Error("connect ECONNREFUSED 10.0.0.7:5432"), { code: "ECONNREFUSED", syscall: "connect" }),
  ],
  ["no such user", Object.assign(new Error('password authentication failed for user "root7"'), { code: "28P01" })],
])("what the database says of itself is not shown: %s", async (_, error) => {
  const { ready, services } = await readiness([withFault(error)], logger);
  expect(ready).toBe(false);
  expect(services["workflow-run"]).toMatch(
    /^(the database cannot be reached|it cannot serve; the reason is in its log)$/,
  );
});

test("a reason of our own is shown", async () => {
  const { services } = await readiness([withFault(new Error("the database lacks the migration 1"))], logger);
  expect(services).toEqual({ "workflow-run": "the database lacks the migration 1" });
});
