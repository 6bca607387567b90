import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { Authority } from "@attestry/service-kit/certificates";
import { afterAll, expect, test } from "@jest/globals";
import { cleanUp, startProcess, startProcessWith, temporaryFolder, untilReady } from "./server-process.ts";

afterAll(cleanUp);

const cli = path.resolve(import.meta.dirname, "../../cli/src/main.ts");

function run(command: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<{ code: unknown; output: string }> {
  return new Promise((resolve) => {
    execFile(command, args, { env: { PATH: process.env.PATH, ...env }, timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, output: stdout + stderr }),
    );
  });
}

const attestry = (env: NodeJS.ProcessEnv, ...args: string[]) => run(process.execPath, [cli, ...args], env);

test("--tls is all it takes, also beyond this machine; the authority stays when the certificate is made anew", async () => {
  const dataDir = path.join(temporaryFolder(), "data");
  const first = startProcess(dataDir, "--listen", "0.0.0.0:0", "--tls");
  const address = await untilReady(first, 60_000);
  const { port } = new URL(address);
  const caFile = path.join(dataDir, "tls/ca.pem");
  expect(address).toMatch(/^https:/);
  expect(first.stdout()).toContain(`export ATTESTRY_CA_FILE=${caFile}`);
  for (const name of ["key.pem", "ca-key.pem"])
    expect(statSync(path.join(dataDir, "tls", name)).mode & 0o777).toBe(0o600);

  for (const host of ["localhost", "127.0.0.1", os.hostname()]) {
    const to = ["--connect-to", `::127.0.0.1:${port}`];
    const { output } = await run("curl", ["-sS", "--cacert", caFile, ...to, `https://${host}:${port}/readyz`]);
    expect(JSON.parse(output)).toMatchObject({ status: "ok" });
  }
  const plain = await run("curl", ["-sS", `http://127.0.0.1:${port}/readyz`]);
  expect(plain.output).toContain("use https://");

  // As it was printed, and with what is found in the data folder alone.
  expect((await attestry({ ATTESTRY_ADDR: address, ATTESTRY_CA_FILE: caFile }, "status")).code).toBe(0);
  const local = await attestry({ ATTESTRY_ADDR: address, ATTESTRY_DATA_DIR: dataDir }, "run", "list");
  expect(local).toEqual({ code: 0, output: expect.any(String) });
  const env = { ATTESTRY_DATA_DIR: path.join(dataDir, "elsewhere"), ATTESTRY_TOKEN: "t" };
  const unknown = await attestry(env, "--addr", address, "run", "list");
  expect(unknown).toEqual({
    code: 5,
    output: expect.stringMatching(/certificate.*\nhint: .*--tls-ca or ATTESTRY_CA_FILE/),
  });
  const wrongScheme = await attestry(env, "--addr", address.replace("https", "http"), "run", "list");
  expect(wrongScheme).toEqual({ code: 5, output: expect.stringContaining("as https://") });

  first.signal("SIGINT");
  expect(await first.exited).toBe(0);
  expect(first.stderr()).toBe("");

  const [ca, cert] = [caFile, path.join(dataDir, "tls/cert.pem")].map((file) => readFileSync(file, "utf8"));
  // Kept while it is good for the address; then made anew for another.
  for (const [listen, changes] of [
    ["127.0.0.1:0", false],
    ["127.0.0.2:0", true],
  ] as const) {
    const next = startProcess(dataDir, "--listen", listen, "--tls");
    await untilReady(next, 30_000);
    expect(readFileSync(caFile, "utf8")).toBe(ca);
    expect(readFileSync(path.join(dataDir, "tls/cert.pem"), "utf8") !== cert).toBe(changes);
    next.signal("SIGINT");
    await next.exited;
  }
}, 180_000);

test("an operator's own certificate is taken as it is, and a broken one ends the start with one line", async () => {
  const dataDir = path.join(temporaryFolder(), "data");
  const starting = startProcess(dataDir, "--listen", "127.0.0.1:0");
  await untilReady(starting, 60_000);
  starting.signal("SIGINT");
  await starting.exited;
  expect(existsSync(path.join(dataDir, "tls"))).toBe(false);

  const { authority } = await Authority.create("an operator's");
  const { cert, key } = await authority.issue({ names: ["attestry.test"], until: new Date(Date.now() + 86_400_000) });
  const folder = path.join(dataDir, "tls");
  mkdirSync(folder);
  writeFileSync(path.join(folder, "cert.pem"), cert);
  writeFileSync(path.join(folder, "key.pem"), key);
  const taken = startProcess(dataDir, "--listen", "127.0.0.1:0", "--tls");
  const address = await untilReady(taken, 30_000);
  const shown = await run("openssl", ["s_client", "-connect", new URL(address).host, "-showcerts"]);
  const [pem = ""] = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/.exec(shown.output) ?? [];
  expect(new X509Certificate(pem).fingerprint256).toBe(new X509Certificate(cert).fingerprint256);
  taken.signal("SIGINT");
  await taken.exited;

  writeFileSync(path.join(folder, "key.pem"), "no key");
  const broken = startProcess(dataDir, "--listen", "127.0.0.1:0", "--tls");
  expect(await broken.exited).toBe(1);
  expect(broken.stderr()).toMatch(/^attestry: cannot serve with TLS: .*no certificate with its private key.*\n$/);
  rmSync(folder, { recursive: true });
}, 180_000);

test("beyond this machine it serves without TLS only when told to, and a named certificate needs no flag", async () => {
  const folder = temporaryFolder();
  const dataDir = path.join(folder, "data");
  for (const listen of ["0.0.0.0:0", "[::]:0", "example.test:0"]) {
    const refused = startProcess(dataDir, "--listen", listen);
    expect(await refused.exited).toBe(1);
    expect(refused.stderr()).toMatch(/can be reached from other machines.*add --tls, or --plaintext.*\n$/);
  }
  expect(existsSync(dataDir)).toBe(false);
  const told = startProcess(dataDir, "--listen", "0.0.0.0:0", "--plaintext");
  expect(await untilReady(told, 60_000)).toMatch(/^http:/);
  told.signal("SIGINT");
  await told.exited;

  const { authority } = await Authority.create("an operator's");
  const { cert, key } = await authority.issue({ names: ["127.0.0.1"], until: new Date(Date.now() + 86_400_000) });
  const files = ["cert", "key", "ca"].map((name) => path.join(folder, `${name}.pem`)) as [string, string, string];
  for (const [index, text] of [cert, key, authority.cert].entries()) writeFileSync(files[index] as string, text);
  const env = { ...process.env, ATTESTRY_TLS_CERT_FILE: files[0], ATTESTRY_TLS_KEY_FILE: files[1] };
  const named = startProcessWith(env, dataDir, "--listen", "0.0.0.0:0");
  const address = await untilReady(named, 30_000);
  const curl = await run("curl", ["-sS", "--cacert", files[2], `${address}/readyz`]);
  expect(JSON.parse(curl.output)).toMatchObject({ status: "ok" });
  named.signal("SIGINT");
  expect(await named.exited).toBe(0);
}, 180_000);
