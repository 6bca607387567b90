import { randomUUID } from "node:crypto";
import { AuditService } from "@attestry/api/ingest";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createTestIngest, refusal, type TestIngest } from "./harness.ts";

let ingest: TestIngest;

beforeAll(async () => {
  ingest = await createTestIngest();
});
afterAll(() => ingest.destroy());

describe("the audit log", () => {
  test.each(["update audit_event set actor = ''", "delete from audit_event", "truncate audit_event"])(
    "%s is refused by the database",
    async (change) => {
      await expect(ingest.database.query(change)).rejects.toThrow("append-only");
    },
  );

  test("is for admins of the organization, and of no other", async () => {
    expect(await refusal(createClient(AuditService, await ingest.as("ci")).list({}))).toBe("ROLE_INSUFFICIENT");
    const others = createClient(AuditService, await ingest.as("admin", randomUUID()));
    expect((await others.list({})).events).toEqual([]);
  });
});
