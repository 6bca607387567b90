import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, expect, jest, test } from "@jest/globals";
import { attestry } from "../../cli/tests/run-cli.ts";
import { MarkedSecrets } from "../../dev-env/tests/system/marked-secrets.ts";
import { cleanUp, startProcessWith, temporaryFolder, untilReady } from "./server-process.ts";

jest.setTimeout(120_000);
afterAll(cleanUp);

/** What only the server has. */
const kept = new MarkedSecrets();
/** What callers have. */
const sent = new MarkedSecrets();

test("secrets are in nothing that npm start and the command line write, but where they are meant to be", async () => {
  const folder = temporaryFolder();
  const dataDir = path.join(folder, "data");
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, LOG_LEVEL: "debug" };
  const server = startProcessWith(env, dataDir, "--listen", "127.0.0.1:0");
  const address = await untilReady(server, 60_000);

  const read = (file: string) => readFileSync(path.join(dataDir, file), "utf8").trim();
  kept.add("the password of PostgreSQL", read("postgres/password"));
  for (const service of ["workflow-run", "attestation-ingest", "cas-gateway"])
    kept.add(`the private key of ${service}`, JSON.parse(read(`keys/${service}.jwk.json`)).d);
  kept.add("the key of the signing authority", read("keys/signing-ca-key.pem").split("\n")[1] ?? "");
  const first = sent.addToken("the first token", read("admin-token"));

  let written = "";
  const run = async (token: string, ...args: string[]) => {
    const { code, stdout, stderr } = await attestry(["--addr", address, ...args], {
      env: { ATTESTRY_TOKEN: token },
      cwd: folder,
    });
    written += `${stdout}${stderr}`;
    return code;
  };
  // Its one answer that has a secret, and the only time that it is shown.
  const made = await attestry(["--addr", address, "token", "create", "--name", "ci", "--role", "ci", "-o", "json"], {
    env: { ATTESTRY_TOKEN: first },
  });
  const ci = sent.addToken("a token of the command line", JSON.parse(made.stdout).secret);
  const mark = sent.mark("a credential that was mistyped");
  writeFileSync(path.join(folder, "bundle.json"), `{"dsseEnvelope": ${mark}`);
  const secrets = path.join(dataDir, "secrets/default");
  mkdirSync(secrets, { recursive: true });
  const secretKey = kept.mark("the secret key of a backend");
  writeFileSync(path.join(secrets, "broken.json"), `{"provider":"s3","secretKey":"${secretKey}" "bucket"}`);
  const store = { provider: "s3", endpoint: "http://127.0.0.1:1", bucket: "none", accessKey: "nobody", secretKey };
  writeFileSync(path.join(secrets, "away.json"), JSON.stringify(store));

  expect(await run(ci, "run", "start", "demo/build")).toBe(0);
  expect(await run(first, "token", "list", "-o", "json")).toBe(0);
  for (const token of [mark, `${ci}x`, `${ci} ${mark}`, ci.slice(0, -5)])
    expect(await run(token, "run", "list")).not.toBe(0);
  expect(await run(ci, "store", "bundle.json")).not.toBe(0);
  expect(await run(ci, "run", "list", "--token", mark)).not.toBe(0);
  for (const name of ["broken", "away"]) {
    await run(first, "backend", "add", name, "--provider", "s3", "--secret", name);
    await run(first, "backend", "validate", name);
  }
  expect(await run(first, "backend", "list", "-o", "json")).toBe(0);
  expect(await run(first, "token", "revoke", "ci")).toBe(0);
  const response = await fetch(`${address}/metrics`);
  const metrics = await response.text();

  server.signal("SIGTERM");
  expect(await server.exited).toBe(0);
  // The first start shows its first token.
  const output = server.stdout().replace(first, "") + server.stderr();
  expect(server.stdout()).toContain(first);
  expect(output).toContain('"level":"debug"');
  expect(written).toContain("away");

  const isMeant = (file: string) => /^(keys|secrets)\/|^admin-token$|^postgres\/password$/.test(file);
  const found: string[] = [];
  for (const all of [kept, sent]) {
    found.push(...all.foundIn(output, "the output of the server"), ...all.foundIn(metrics, "the metrics"));
    found.push(...all.foundIn(written, "the output of the command line"), ...(await all.foundBelow(dataDir, isMeant)));
  }
  expect(found).toEqual([]);
});
