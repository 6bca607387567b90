import http2 from "node:http2";
import net from "node:net";
import { connect as connectTls } from "node:tls";
import { WorkflowService } from "@attestry/api/run";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { createMetrics, type RunningServer, type ServerTls, serve } from "../src/index.ts";
import { run, TestCertificates } from "./certificates.ts";
import { adminToken, fakeModule, logger } from "./fake-module.ts";

let certificates: TestCertificates;
let other: TestCertificates;
let files: { certFile: string; keyFile: string };
const servers: RunningServer[] = [];
beforeAll(async () => {
  certificates = await TestCertificates.create();
  other = await TestCertificates.create("another authority");
  files = await certificates.issueFiles("server");
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});
afterAll(async () => {
  await certificates.remove();
  await other.remove();
});

async function start(tls: ServerTls | undefined = files, metrics = createMetrics()): Promise<RunningServer> {
  const modules = [fakeModule({ get: ({ name }) => ({ workflow: { name } }) })];
  const server = await serve({ modules, listen: { host: "127.0.0.1", port: 0 }, tls, logger, metrics });
  servers.push(server);
  return server;
}

function sClient(server: RunningServer, ...args: string[]) {
  return run("openssl", [
    ...["s_client", "-connect", `127.0.0.1:${server.port}`, "-servername", "localhost", "-CAfile", certificates.caFile],
    ...["-verify_return_error", ...args],
  ]);
}

const get = "/attestry.run.v1.WorkflowService/Get";

function curl(server: RunningServer, ...args: string[]) {
  const call = [
    "-H",
    `authorization: Bearer ${adminToken}`,
    "-H",
    "content-type: application/json",
    "-d",
    '{"name":"w"}',
  ];
  return run("curl", [
    ...["-sS", "-m", "10", ...call, "--resolve", `localhost:${server.port}:127.0.0.1`, ...args],
    `https://localhost:${server.port}${get}`,
  ]);
}

describe("openssl", () => {
  test.each([
    ["-tls1_3", "TLSv1.3", "TLS_AES"],
    ["-tls1_2", "TLSv1.2", "ECDHE-ECDSA-AES"],
  ])("%s: what was agreed on", async (version, name, cipher) => {
    const { code, output } = await sClient(await start(), version, "-alpn", "h2,http/1.1");
    expect([code, output]).toEqual([0, expect.stringContaining(`${name}, Cipher is ${cipher}`)]);
    expect(output).toContain("ALPN protocol: h2");
    expect(output).toContain("Verify return code: 0 (ok)");
  });

  test.each([
    ["TLS 1.1", ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]],
    ["a cipher without authenticated encryption", ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"]],
    ["a cipher without forward secrecy", ["-tls1_2", "-cipher", "AES128-GCM-SHA256"]],
  ])("%s is refused", async (_, args) => {
    const { code, output } = await sClient(await start(), ...args);
    expect([code, output]).toEqual([1, expect.stringMatching(/alert (protocol version|handshake failure)/)]);
  });

  test("an authority that it does not know, a certificate that has run out, a name that is another's", async () => {
    const unknown = await start(await other.issueFiles("server"));
    expect((await sClient(unknown)).output).toMatch(/unable to get local issuer certificate|self.signed/);
    const past = new Date(Date.now() - 10 * 86_400_000);
    const old = await start(await certificates.issueFiles("old", { from: past, days: -1 }));
    expect((await sClient(old)).output).toContain("certificate has expired");
    const elsewhere = await start(await certificates.issueFiles("elsewhere", { names: ["elsewhere.test"] }));
    const { code, output } = await sClient(elsewhere, "-verify_hostname", "localhost");
    expect([code, output]).toEqual([1, expect.stringContaining("hostname mismatch")]);
  });
});

describe("curl", () => {
  test.each([
    ["--http2", "2"],
    ["--http1.1", "1.1"],
  ])("%s", async (flag, version) => {
    const { output } = await curl(await start(), "--cacert", certificates.caFile, flag, "-w", " %{http_version}");
    expect(output).toBe(`{"workflow":{"name":"w"}} ${version}`);
  });

  test("http to a port that speaks TLS is told so at once; https to one that does not ends at once", async () => {
    const secure = await start();
    const told = await run("curl", ["-sS", "-m", "3", `http://127.0.0.1:${secure.port}/healthz`]);
    expect(told).toEqual({ code: 0, output: "this port speaks TLS: use https://\n" });
    const h2c = await run("curl", ["-sS", "-m", "3", "--http2-prior-knowledge", `http://127.0.0.1:${secure.port}/`]);
    expect(h2c.code).not.toBe(0);
    expect(h2c.code).not.toBe(28);
    const plain = await serve({
      modules: [fakeModule()],
      listen: { host: "127.0.0.1", port: 0 },
      logger,
      metrics: createMetrics(),
    });
    servers.push(plain);
    const refused = await run("curl", ["-sS", "-m", "3", `https://127.0.0.1:${plain.port}/healthz`]);
    expect(refused).toEqual({ code: 35, output: expect.stringContaining("wrong version number") });
  });
});

describe("clients that must show a certificate", () => {
  const withClientCa = () => start({ ...files, caFile: certificates.caFile });

  test("with one of the authority; without, and with another's", async () => {
    const server = await withClientCa();
    const client = await certificates.issueFiles("client");
    const stranger = await other.issueFiles("client");
    const ca = ["--cacert", certificates.caFile];
    for (const version of ["--tlsv1.3", "--tls-max 1.2"]) {
      const shown = ["--cert", client.certFile, "--key", client.keyFile];
      expect((await curl(server, ...ca, ...version.split(" "), ...shown)).output).toBe('{"workflow":{"name":"w"}}');
      const none = await curl(server, ...ca, ...version.split(" "));
      expect([none.code, none.output]).toEqual([expect.any(Number), expect.not.stringContaining("workflow")]);
      expect([0, 28]).not.toContain(none.code);
      const foreign = await curl(server, ...ca, "--cert", stranger.certFile, "--key", stranger.keyFile);
      expect([0, 28]).not.toContain(foreign.code);
    }
    const metrics = createMetrics();
    const counted = await start({ ...files, caFile: certificates.caFile }, metrics);
    await curl(counted, ...ca);
    expect(await metrics.metrics()).toContain("attestry_tls_handshakes_failed_total 1");
  });
});

test("a client that says nothing, or stops in the middle of the handshake, is let go", async () => {
  const server = await start();
  const began = Date.now();
  const ends = [Buffer.alloc(0), Buffer.from([0x16, 3, 1])].map((first) => {
    const socket = net.connect(server.port, "127.0.0.1").on("error", () => undefined);
    socket.write(first);
    return new Promise((resolve) => socket.once("close", resolve).resume());
  });
  // Meanwhile others are served.
  const transport = createConnectTransport({
    ...{ baseUrl: `https://localhost:${server.port}`, httpVersion: "2" },
    nodeOptions: { ca: certificates.authority.cert },
  });
  const call = { headers: { authorization: `Bearer ${adminToken}` } };
  expect((await createClient(WorkflowService, transport).get({ name: "w" }, call)).workflow?.name).toBe("w");
  await Promise.all(ends);
  expect(Date.now() - began).toBeGreaterThan(4_000);
  expect(Date.now() - began).toBeLessThan(20_000);
}, 40_000);

test("a handshake that comes byte by byte is served", async () => {
  const server = await start();
  const raw = net.connect(server.port, "127.0.0.1").setNoDelay(true);
  const slow = net.createServer((near) => {
    near.on("data", (bytes) => {
      for (const byte of bytes) raw.write(Buffer.from([byte]));
    });
    raw.pipe(near);
    near.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => slow.listen(0, "127.0.0.1", resolve));
  const { port } = slow.address() as net.AddressInfo;
  const options = { ca: certificates.authority.cert, servername: "localhost", ALPNProtocols: ["h2"] };
  const socket = connectTls({ port, host: "127.0.0.1", ...options });
  const session = http2.connect("https://localhost", { createConnection: () => socket });
  await new Promise((resolve) => session.once("connect", resolve));
  const pinged = await new Promise((resolve) => session.ping((error) => resolve(error)));
  expect(pinged).toBeNull();
  session.destroy();
  slow.close();
});
