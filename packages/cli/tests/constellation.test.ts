import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import pg from "pg";
import { cliOf } from "./cli-of.ts";

jest.setTimeout(60_000);

const fixtures = path.resolve(import.meta.dirname, "../../bundle/tests/fixtures");
const sha256 = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

interface Run {
  id: string;
  state: string;
  reason: string;
}

let folder = "";
let constellation: Constellation;
let cli: ReturnType<typeof cliOf>["cli"];
let json: ReturnType<typeof cliOf>["json"];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "attestry-cli-"));
  constellation = await startConstellation({ shape: "processes", backend: "filesystem" });
  ({ cli, json } = cliOf(constellation));
});

afterAll(async () => {
  await constellation?.stop();
  await rm(folder, { recursive: true });
});

async function storeAndGet(file: string): Promise<{ digest: string; runId: string }> {
  const bytes = await readFile(file);
  const stored = await json<{ digest: string; runId: string }>("store", file, "--workflow", "cli/store");
  expect(stored).toMatchObject({ digest: sha256(bytes), mode: "database", upload: "pending" });
  const target = path.join(folder, "got.json");
  expect((await cli(["get", stored.digest, "-o", target])).code).toBe(0);
  expect(bytes.equals(await readFile(target))).toBe(true);
  expect(bytes.equals((await cli(["get", stored.runId])).stdoutBytes)).toBe(true);
  return stored;
}

describe("store and get", () => {
  test("a line end at the end of the file is part of the bundle", async () => {
    const withLineEnd = path.join(fixtures, "C11-newline-at-end.json");
    const bytes = await readFile(withLineEnd);
    expect(bytes.subarray(-2).toString()).toBe("\r\n");
    const without = path.join(folder, "without.json");
    await writeFile(without, bytes.subarray(0, -2));
    const first = await storeAndGet(withLineEnd);
    const second = await storeAndGet(without);
    expect(second.digest).not.toBe(first.digest);

    const { code, stderr } = await cli(["store", without, "--run", first.runId]);
    expect(stderr).toContain("(RUN_HAS_OTHER_ATTESTATION)");
    expect(code).toBe(1);
    expect((await json<Run>("run", "get", first.runId)).state).toBe("success");
  });

  test("a byte order mark is kept; UTF-16 is refused and says so", async () => {
    const file = path.join(fixtures, "C13-byte-order-mark.json");
    await storeAndGet(file);
    const utf16 = path.join(folder, "utf16.json");
    await writeFile(utf16, Buffer.from(await readFile(file, "utf8"), "utf16le"));
    const { code, stderr } = await cli(["store", utf16, "--workflow", "cli/utf16"]);
    expect(stderr).toContain("(BUNDLE_NOT_UTF8)");
    expect(code).toBe(1);
  });

  test("6 MiB come back whole, though no plain Get gives them", async () => {
    const { dsseEnvelope } = JSON.parse(await readFile(path.join(fixtures, "C11-newline-at-end.json"), "utf8")) as {
      dsseEnvelope: { payload: string };
    };
    const statement = JSON.parse(Buffer.from(dsseEnvelope.payload, "base64").toString()) as { predicate: object };
    statement.predicate = { ...statement.predicate, padding: "x".repeat(4_600_000) };
    dsseEnvelope.payload = Buffer.from(JSON.stringify(statement)).toString("base64");
    const file = path.join(folder, "large.json");
    // The envelope alone carries no key by which its signature would be found wrong.
    await writeFile(file, JSON.stringify(dsseEnvelope));
    const { digest } = await storeAndGet(file);
    expect(await json("get", digest)).toMatchObject({ digest, project: "cli", workflow: "store" });
  });

  test("the same bytes for the same run again are the same answer", async () => {
    const run = await json<Run>("run", "start", "cli/again", "--job-url", "https://ci.example.test/1");
    const file = path.join(fixtures, "C02-string-predicate.json");
    const first = await json("store", file, "--run", run.id);
    expect(await json("store", file, "--run", run.id)).toMatchObject({ digest: (first as { digest: string }).digest });
  });
});

describe("refusals", () => {
  test.each([
    ["an empty file", ""],
    ["blanks", "  \n\t"],
    ["[]", "[]"],
    ["{}", "{}"],
    ["a message signature", '{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","messageSignature":{}}'],
  ])("store of %s is refused and leaves no run open", async (_what, content) => {
    const { code, stdout, stderr } = await cli(["store", "-", "--workflow", "cli/refused"], { stdin: content });
    expect(code).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/^error: .+ \([A-Z_]+\)\n/);
    const { runs } = await json<{ runs: Run[] }>("run", "list", "--workflow", "cli/refused");
    expect(runs.filter(({ state }) => state === "initialized")).toEqual([]);
    expect(runs.every(({ reason }) => reason.startsWith("store: "))).toBe(true);
  });

  test("what cannot pass ends at once with one line: a cancelled run, an unknown run, too many bytes", async () => {
    const file = path.join(fixtures, "C02-string-predicate.json");
    const { id } = await json<Run>("run", "start", "cli/cancelled");
    expect(await json("run", "cancel", id, "--reason", "not needed")).toMatchObject({
      state: "cancelled",
      reason: "not needed",
    });
    const oversized = path.join(folder, "oversized.json");
    await writeFile(oversized, Buffer.alloc(33 * 1024 * 1024, " x"));
    const unknown = "0198a6e0-7a52-7cc3-98b8-5d2d5a0c6f10";
    for (const [args, reason, exitCode] of [
      [[file, "--run", id], "RUN_CANCELLED", 1],
      [[file, "--run", unknown], "RUN_NOT_FOUND", 3],
      [[oversized, "--run", id], "BUNDLE_TOO_LARGE", 1],
    ] as const) {
      const { code, stderr, milliseconds } = await cli(["store", ...args]);
      expect(stderr.split("\n")[0]).toMatch(new RegExp(`^error: .+ \\(${reason}\\)$`));
      expect(code).toBe(exitCode);
      // A refusal that may pass is tried again for a minute.
      expect(milliseconds).toBeLessThan(15_000);
    }
  });

  test("tokens: none, garbage, too low a role, revoked", async () => {
    const none = await cli(["list"], { env: { ATTESTRY_TOKEN: "" } });
    expect(none.stderr).toContain("(TOKEN_MISSING)");
    expect(none.code).toBe(4);
    expect((await cli(["list", "--token", "garbage"])).code).toBe(4);

    const { secret } = await json<{ secret: string }>(
      "token",
      "create",
      "--name",
      "reader",
      "--role",
      "reader",
      "--expires",
      "1h",
    );
    const asReader = { env: { ATTESTRY_TOKEN: secret } };
    expect((await cli(["list"], asReader)).code).toBe(0);
    const start = await cli(["run", "start", "cli/denied"], asReader);
    expect(start.stderr).toContain("(ROLE_INSUFFICIENT)");
    expect(start.code).toBe(4);
    expect(await json("token", "revoke", "reader")).toMatchObject({ name: "reader", role: "reader" });
    expect((await json<{ tokens: { name: string }[] }>("token", "list")).tokens.map(({ name }) => name)).toContain(
      "admin",
    );
  });

  test("an attestation that is not there", async () => {
    const { code, stderr } = await cli(["get", `sha256:${"00".repeat(32)}`]);
    expect(stderr).toContain("(ATTESTATION_NOT_FOUND)");
    expect(code).toBe(3);
  });
});

describe("the other commands", () => {
  test("list finds by subject, predicate type and workflow", async () => {
    const file = path.join(fixtures, "C04-git-commit.json");
    const { digest } = await json<{ digest: string }>("store", file, "--workflow", "cli/find");
    const shown = await json<{ subjects: { digests: Record<string, string> }[]; predicateType: string }>("get", digest);
    const subject = `gitCommit:${shown.subjects[0]?.digests.gitCommit}`;
    for (const filter of [
      ["--subject", subject],
      ["--workflow", "cli/find", "--since", "1h"],
      ["--predicate-type", shown.predicateType, "--workflow", "cli"],
    ]) {
      const { attestations } = await json<{ attestations: { digest: string }[] }>("list", ...filter);
      expect(attestations.map((attestation) => attestation.digest)).toEqual([digest]);
    }
    expect((await cli(["list", "--until", "2020-01-01"])).stdout).toBe("no attestations\n");
  });

  test("backends: add, validate, default, update, delete", async () => {
    const place = ["--provider", "filesystem", "--secret-ref", "_shared/local"];
    const same = await cli(["backend", "add", "second", ...place]);
    expect(same.stderr).toContain("backend local of this organization has the same provider, secret_ref and prefix");
    const added = await json("backend", "add", "second", ...place, "--prefix", "second");
    expect(added).toMatchObject({ name: "second", status: "valid", isDefault: false });
    expect(await json("backend", "validate", "second")).toMatchObject({ status: "valid" });
    expect(await json("backend", "update", "second", "--max-bytes", "20MB")).toMatchObject({ maxBytes: 20_000_000 });
    expect(await json("backend", "default", "second")).toMatchObject({ isDefault: true });
    expect(await json("backend", "default", "local")).toMatchObject({ isDefault: true });
    expect(await json("backend", "delete", "second")).toEqual({ name: "second", deleted: true });

    const broken = await cli(["backend", "add", "broken", "--provider", "s3", "--secret-ref", "nothing-there"]);
    expect(broken.stdout).toContain("invalid");
    expect(broken.stderr).toContain("the backend broken does not work");
    expect(broken.code).toBe(1);
    expect((await cli(["backend", "list"])).stdout).toMatch(/broken +s3 +invalid/);
  });

  test("organizations and their tokens", async () => {
    expect(await json("org", "create", "acme")).toMatchObject({ name: "acme", storageMode: null });
    expect((await cli(["org", "create", "acme"])).stderr).toContain("(ORGANIZATION_EXISTS)");
    expect(await json("org", "update", "acme", "--storage-mode", "spool")).toMatchObject({ storageMode: "spool" });
    expect(await json("org", "update", "acme", "--storage-mode", "default")).toMatchObject({ storageMode: null });
    const { secret } = await json<{ secret: string }>(
      "token",
      "create",
      "--name",
      "ci",
      "--role",
      "ci",
      "--org",
      "acme",
    );
    const seen = await cli(["org", "list", "-o", "json"], { env: { ATTESTRY_TOKEN: secret } });
    expect((JSON.parse(seen.stdout) as { organizations: { name: string }[] }).organizations).toMatchObject([
      { name: "acme" },
    ]);
  });

  test("how long things are kept, and who set it", async () => {
    await json("org", "create", "kept");
    await json("org", "update", "kept", "--keep-attestations-at-least", "90d", "--keep-attestations-at-most", "7y");
    await json("org", "update", "kept", "--keep-attestations-at-least", "30d", "--keep-materials-at-most", "1y");
    const args = ["--name", "kept", "--role", "admin", "--org", "kept"];
    const { secret } = await json<{ secret: string }>("token", "create", ...args);
    const env = { ATTESTRY_TOKEN: secret };
    expect((await cli(["org", "get"], { env })).stdout).toMatch(/^attestations kept +at least 30d, at most 7y$/m);
    const { stdout, code } = await cli(["audit", "--action", "organization.update", "--limit", "1", "-o", "json"], {
      env,
    });
    expect(code).toBe(0);
    expect((JSON.parse(stdout) as { events: object[] }).events).toMatchObject([
      {
        service: "workflow-run",
        actor: expect.stringContaining("token admin ("),
        action: "organization.update",
        detail: { "attestation_retention.at_least.old": "7776000s", "attestation_retention.at_least.new": "2592000s" },
      },
    ]);
  });

  test("gc deletes what no attestation refers to, and only when told to", async () => {
    const digest = sha256(Buffer.from("left by a Store that died"));
    const { backends } = await json<{ backends: { id: string; name: string }[] }>("backend", "list");
    const backendId = backends.find(({ name }) => name === "local")?.id;
    const database = new pg.Client({ connectionString: constellation.servers.ingestDatabase });
    await database.connect();
    try {
      await database.query(
        "insert into intent (organization_id, backend_id, digest, touched) values ($1, $2, $3, now() - interval '25 hours')",
        [constellation.organizationId, backendId, Buffer.from(digest.slice(7), "hex")],
      );
      const dry = await cli(["gc"]);
      expect(dry.stdout).toContain(`${digest}  `);
      expect(dry.stderr).toContain("1 unused; nothing was deleted: attestry gc --delete does so");
      expect(await json("gc", "--delete")).toMatchObject({
        blobs: [{ digest, backendId: backendId, outcome: "deleted", error: "" }],
      });
      expect((await cli(["gc"])).stdout).toContain("nothing is unused");
      expect((await database.query("select from intent")).rowCount).toBe(0);
    } finally {
      await database.end();
    }
  });

  test("workflows, uploads, status", async () => {
    await json("run", "start", "cli/listed");
    const { workflows } = await json<{ workflows: { name: string }[] }>("workflow", "list", "--project", "cli");
    expect(workflows.map(({ name }) => name)).toContain("listed");
    expect(await json("upload", "list")).toHaveProperty("uploads");
    expect(await json("upload", "retry", "--all")).toEqual({ retried: expect.any(Number) });
    const { services } = await json<{ services: { status: string }[] }>("status");
    expect(services.map(({ status }) => status)).toEqual(["up", "up", "up"]);
    const down = await cli(["status", "--cas-addr", "http://127.0.0.1:1"]);
    expect(down.stdout).toMatch(/cas-gateway +down/);
    expect(down.code).toBe(5);
  });
});
