import { expect, test } from "@jest/globals";
import pg from "pg";
import { createTestBucket, createTestDatabase, describeWith, minioClient, testMinio, testRedis } from "../src/index.ts";

test("a test database is empty, of its own, and goes away with its sessions", async () => {
  const database = await createTestDatabase();
  const client = new pg.Client({ connectionString: database.url });
  client.on("error", () => {});
  await client.connect();
  const { rows } = await client.query("select count(*)::int as n from pg_tables where schemaname = 'public'");
  expect(rows).toEqual([{ n: 0 }]);
  await database.drop();
  await expect(client.query("select 1")).rejects.toThrow();
  await client.end();
});

describeWith(["redis"], "the shared Redis", () => {
  test("has a database for this worker", () => {
    expect(testRedis()).toMatch(/^redis:\/\/127\.0\.0\.1:\d+\/\d+$/);
  });
});

describeWith(["minio"], "the shared MinIO", () => {
  test("gives a bucket and the secret to it", async () => {
    const secret = await createTestBucket();
    const client = minioClient(testMinio());
    await client.putObject(secret.bucket, "key", Buffer.from("value"));
    expect((await client.statObject(secret.bucket, "key")).size).toBe(5);
  });
});
