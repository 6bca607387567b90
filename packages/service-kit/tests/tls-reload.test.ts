import { writeFile } from "node:fs/promises";
import { connect as connectTls } from "node:tls";
import { WorkflowService } from "@attestry/api/run";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import {
  commonSettings,
  createMetrics,
  Peers,
  readSettings,
  reasonOf,
  serve,
  transportSettings,
} from "../src/index.ts";
import { TestCertificates } from "./certificates.ts";
import { adminToken, fakeModule, keyrings, logger } from "./fake-module.ts";
import { until } from "./raw-call.ts";

let certificates: TestCertificates;
let other: TestCertificates;
const ends: (() => Promise<void>)[] = [];
beforeAll(async () => {
  certificates = await TestCertificates.create();
  other = await TestCertificates.create("another authority");
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
afterAll(async () => {
  await certificates.remove();
  await other.remove();
});

async function start(files: { certFile: string; keyFile: string; caFile?: string }) {
  const metrics = createMetrics();
  const modules = [fakeModule({ get: ({ name }) => ({ workflow: { name } }) })];
  const server = await serve({ modules, listen: { host: "127.0.0.1", port: 0 }, tls: files, logger, metrics });
  ends.push(() => server.close());
  return { server, metrics, url: `https://localhost:${server.port}` };
}

/** The serial number that a new connection is shown, whoever signed it. */
function shown(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? "");
      socket.destroy();
    });
    socket.once("error", reject);
  });
}

async function peers(env: Record<string, string>, metrics = createMetrics()): Promise<Peers> {
  const keyring = keyrings["attestation-ingest"];
  const opened = await Peers.open(readSettings(transportSettings, env), { keyring, logger, metrics });
  ends.push(() => opened.close());
  return opened;
}

const longest = 30_000;

test("new certificates under load: no call fails, and new connections get them; broken ones change nothing", async () => {
  const files = await certificates.issueFiles("server");
  const { server, metrics, url } = await start(files);
  const counted = (text: string) => async () => (await metrics.metrics()).includes(text);

  const results = { ok: 0, failed: [] as unknown[] };
  let loading = true;
  const load = ["1.1", "2"].map(async (httpVersion) => {
    const nodeOptions = { ca: certificates.authority.cert };
    while (loading) {
      // A connection for a few calls each: old ones and new ones are under way at any time.
      const transport = createConnectTransport({ baseUrl: url, httpVersion: httpVersion as "2", nodeOptions });
      const client = createClient(WorkflowService, transport);
      for (let i = 0; i < 20 && loading; i++) {
        const call = client.get(
          { name: "w" },
          { headers: { authorization: `Bearer ${adminToken}` }, timeoutMs: 20_000 },
        );
        await call.then(
          () => results.ok++,
          (error: unknown) => results.failed.push(error),
        );
      }
    }
  });

  const first = await shown(server.port);
  await certificates.issueFiles("server");
  await until(counted('reloads_total{use="server",result="taken"} 1'), longest);
  const second = await shown(server.port);
  expect(second).not.toBe(first);

  // A key that is not the certificate's, then no certificate at all, then one that has run out.
  const good = await certificates.issue();
  await writeFile(files.keyFile, good.key);
  await until(counted('attestry_tls_files_broken{use="server"} 1'), longest);
  expect(await shown(server.port)).toBe(second);
  await writeFile(files.certFile, "-----BEGIN CERTIFICATE-----\nAAAA\n");
  await until(counted('reloads_total{use="server",result="refused"} 2'), longest);
  const past = new Date(Date.now() - 10 * 86_400_000);
  await certificates.issueFiles("server", { from: past, days: -1 });
  await until(counted('reloads_total{use="server",result="refused"} 3'), longest);
  expect(await shown(server.port)).toBe(second);

  // Mended, though the server was never told.
  await certificates.write("server", good);
  await until(counted('reloads_total{use="server",result="taken"} 2'), longest);
  expect(await counted('attestry_tls_files_broken{use="server"} 0')()).toBe(true);
  expect([first, second]).not.toContain(await shown(server.port));

  loading = false;
  await Promise.all(load);
  expect(results.failed).toEqual([]);
  expect(results.ok).toBeGreaterThan(100);
}, 180_000);

test("mTLS between services: who shows none, another's, or trusts another authority does not get through", async () => {
  const files = await certificates.issueFiles("server");
  const { url } = await start({ ...files, caFile: certificates.caFile });
  const mine = await certificates.issueFiles("peer");
  const foreign = await other.issueFiles("peer");
  const call = async (env: Record<string, string>) => {
    const transport = (await peers(env)).at(url, "workflow-run");
    return createClient(WorkflowService, transport)
      .get({ name: "w" }, { timeoutMs: 3_000 })
      .then(({ workflow }) => workflow?.name, reasonOf);
  };
  const trusting = { ATTESTRY_PEER_CA_FILE: certificates.caFile };
  const showing = { ATTESTRY_PEER_CERT_FILE: mine.certFile, ATTESTRY_PEER_KEY_FILE: mine.keyFile };
  expect(await call({ ...trusting, ...showing })).toBe("w");
  expect(await call(trusting)).toBe("PEER_UNAVAILABLE");
  expect(
    await call({ ...trusting, ATTESTRY_PEER_CERT_FILE: foreign.certFile, ATTESTRY_PEER_KEY_FILE: foreign.keyFile }),
  ).toBe("PEER_UNAVAILABLE");
  expect(await call({ ...showing, ATTESTRY_PEER_CA_FILE: other.caFile })).toBe("PEER_UNAVAILABLE");
  // The machine's own authorities do not know it either.
  expect(await call({})).toBe("PEER_UNAVAILABLE");
}, 60_000);

test("a client follows its files: after the authority of both sides was changed it gets through again by itself", async () => {
  const serverFiles = await certificates.issueFiles("moving");
  const trusted = await TestCertificates.create("first authority");
  ends.push(() => trusted.remove());
  await writeFile(trusted.caFile, certificates.authority.cert);
  const mine = await certificates.issueFiles("moving-peer");
  const { server, url, metrics } = await start({ ...serverFiles, caFile: trusted.caFile });
  const clientMetrics = createMetrics();
  const transport = (
    await peers(
      {
        ATTESTRY_PEER_CA_FILE: trusted.caFile,
        ATTESTRY_PEER_CERT_FILE: mine.certFile,
        ATTESTRY_PEER_KEY_FILE: mine.keyFile,
      },
      clientMetrics,
    )
  ).at(url, "workflow-run");
  const call = () => createClient(WorkflowService, transport).get({ name: "w" }, { timeoutMs: 10_000 });
  await call();

  // Both authorities are trusted while certificates change, then the new one alone.
  await writeFile(trusted.caFile, certificates.authority.cert + other.authority.cert);
  await certificates.write("moving", await other.issue());
  await certificates.write("moving-peer", await other.issue());
  await writeFile(trusted.caFile, other.authority.cert);
  const taken = /reloads_total\{use="\w+",result="taken"\} [1-9]/;
  const isUpToDate = (of: typeof metrics) => async () => {
    const text = await of.metrics();
    return taken.test(text) && !/files_broken\{use="\w+"\} 1/.test(text);
  };
  await until(isUpToDate(metrics), longest);
  await until(isUpToDate(clientMetrics), longest);
  await server.close();
  const again = await serve({
    ...{ modules: [fakeModule({ get: () => ({ workflow: { name: "again" } }) })], logger, metrics: createMetrics() },
    listen: { host: "127.0.0.1", port: server.port },
    tls: { ...serverFiles, caFile: trusted.caFile },
  });
  ends.push(() => again.close());
  // It reconnects with back-off.
  const isAgain = () =>
    call().then(
      ({ workflow }) => workflow?.name === "again",
      () => false,
    );
  await until(isAgain, longest);
}, 120_000);

test("half a pair, a client authority without TLS, and files that are none end the start with one line", async () => {
  const { certFile, keyFile } = await certificates.issueFiles("server");
  const open = (env: Record<string, string>) =>
    peers(env).then(
      () => "ok",
      (error: Error) => error.message,
    );
  expect(await open({ ATTESTRY_PEER_CERT_FILE: certFile })).toMatch(/go together; only ATTESTRY_PEER_CERT_FILE is set/);
  expect(await open({ ATTESTRY_PEER_CA_FILE: "/nowhere.pem" })).toMatch(/no such file.*nowhere\.pem/);
  expect(await open({ ATTESTRY_PEER_CA_FILE: keyFile })).toMatch(/-key\.pem holds no certificate/);
  const foreign = await other.issueFiles("server");
  const mixed = { certFile, keyFile: foreign.keyFile };
  await expect(start(mixed)).rejects.toThrow(/are no certificate with its private key: .*key values mismatch/);
  expect(commonSettings.tlsCertFile).toBe(transportSettings.tlsCertFile);
});
