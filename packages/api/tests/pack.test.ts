import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";

jest.setTimeout(180_000);

const root = path.resolve(import.meta.dirname, "../../..");
const tsc = path.join(root, "node_modules/typescript/bin/tsc");

// What an integrator writes: no import from anywhere but npm packages.
const program = `
import { ErrorInfoSchema } from "@attestry/api/errors";
import { AttestationService, Mode } from "@attestry/api/ingest";
import { RunService, RunState } from "@attestry/api/run";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

const headers = { authorization: "Bearer " + process.env["TOKEN"] };
const run = createClient(RunService, createGrpcTransport({ baseUrl: process.env["RUN_URL"] ?? "" }));
const ingest = createClient(AttestationService, createGrpcTransport({ baseUrl: process.env["INGEST_URL"] ?? "" }));

const started = (await run.create({ project: "web", workflow: "release" }, { headers })).run;
if (started === undefined) throw new Error("no run");
// @ts-expect-error states are numbers of an enum, so the declarations were found and are no "any"
const wrong: string = started.state;

const payload = Buffer.from(JSON.stringify({
  _type: "https://in-toto.io/Statement/v1",
  subject: [{ name: "a", digest: { sha256: "00".repeat(32) } }],
  predicateType: "https://example.test/predicate/v1",
  predicate: {},
})).toString("base64");
const bundle = Buffer.from(JSON.stringify({
  payloadType: "application/vnd.in-toto+json",
  payload,
  signatures: [{ sig: "c2lnbmF0dXJl" }],
}));
const stored = await ingest.store({ runId: started.id, bundle }, { headers });
const got = await ingest.get({ by: { case: "digest", value: stored.digest } }, { headers });
const ended = (await run.get({ by: { case: "runId", value: started.id } }, { headers })).run;
const refused = await ingest.store({ runId: "no-uuid", bundle }, { headers }).catch((error: unknown) => error);
console.log(JSON.stringify({
  same: Buffer.from(got.bundle).equals(bundle),
  inDatabase: stored.mode === Mode.DATABASE,
  success: ended?.state === RunState.SUCCESS,
  reason: ConnectError.from(refused).findDetails(ErrorInfoSchema)[0]?.reason,
  wrong: typeof wrong,
}));
process.exit(0);
`;

let folder = "";
let constellation: Constellation;

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "attestry-api-pack-"));
  execute("pnpm", ["pack", "--pack-destination", folder], path.resolve(import.meta.dirname, ".."));
  writeFileSync(path.join(folder, "package.json"), '{"private":true,"type":"module"}');
  writeFileSync(path.join(folder, "program.ts"), program);
  const packages = [
    "./attestry-api-0.1.0.tgz",
    "@connectrpc/connect@2.2.0",
    "@connectrpc/connect-node@2.2.0",
    "@types/node@24",
  ];
  execute("npm", ["install", "--no-audit", "--no-fund", ...packages], folder);
  constellation = await startConstellation({ shape: "processes", backend: "inline" });
});

afterAll(async () => {
  await constellation?.stop();
  rmSync(folder, { recursive: true });
});

test("the packed stubs type-check and call a running server, outside the workspace", () => {
  execute(
    process.execPath,
    [tsc, "--strict", "--module", "nodenext", "--target", "es2024", "--types", "node", "program.ts"],
    folder,
  );
  const output = execute(process.execPath, ["program.js"], folder, {
    TOKEN: constellation.adminToken,
    RUN_URL: constellation.runUrl,
    INGEST_URL: constellation.ingestUrl,
  });
  const expected = { same: true, inDatabase: true, success: true, reason: "RUN_ID_INVALID", wrong: "number" };
  expect(JSON.parse(output)).toEqual(expected);
});

test("the tarball has the protos", () => {
  const proto = "node_modules/@attestry/api/dist/proto/attestry/ingest/v1/attestation.proto";
  expect(existsSync(path.join(folder, proto))).toBe(true);
});

function execute(command: string, args: readonly string[], cwd: string, env: Record<string, string> = {}): string {
  const result = spawnSync(command, args, { cwd, encoding: "utf8", env: { ...process.env, ...env } });
  if (result.status !== 0) throw new Error(`${command} ${args.join(" ")}: ${result.stdout}${result.stderr}`);
  return result.stdout;
}
