import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { BackendProvider, CredentialService, Role } from "@attestry/api/run";
import type { ServiceName } from "@attestry/service-kit";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { type Constellation, startConstellation } from "../../src/constellation/index.ts";
import { describeWith } from "../../src/jest/describe-with.ts";
import { type RedisServer, startRedis } from "../../src/redis.ts";
import { createTestDatabase, type TestDatabase } from "../../src/test-servers.ts";
import { type Clients, clientsOf, download, startRun } from "./clients.ts";
import { digestOf, fixture } from "./fixtures.ts";
import { MarkedSecrets } from "./marked-secrets.ts";
import { Databases } from "./refusals.ts";
import { outputOf } from "./short-process.ts";

jest.setTimeout(120_000);

/** What only the operator and the services have: in no log, metric, answer, row or file but the one it came from. */
const kept = new MarkedSecrets();
/** What callers have and send: in no log, metric, row or file. */
const sent = new MarkedSecrets();
/** What bundles hold: in no log, metric or file. */
const content = new MarkedSecrets();

let folder: string;
let databases: { run: TestDatabase; ingest: TestDatabase };
let redis: RedisServer;
let attestry: Constellation;
let clients: Clients;
let env: Record<string, string>;
let logs = "";
let answers = "";

const services: readonly ServiceName[] = ["workflow-run", "attestation-ingest", "cas-gateway"];

/** Of a call that may be refused: what its caller is told. */
async function told(call: Promise<unknown>): Promise<void> {
  const answer = await call.catch((error: unknown) => error);
  answers += `${answer instanceof Error ? `${answer.message} ${JSON.stringify(answer)}` : ""}\n`;
}

async function ask(url: string, headers: Record<string, string> = {}, method = "GET", body = ""): Promise<void> {
  const request = http.request(url, { method, headers: { ...headers, "content-length": Buffer.byteLength(body) } });
  const answered = new Promise<string>((resolve, reject) => {
    request.once("error", reject).once("response", (response) => {
      let text = `${response.statusCode} ${JSON.stringify(response.headers)}`;
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.once("end", () => resolve(text));
    });
  });
  request.end(body);
  answers += `${await answered}\n`;
}

/** The same server, another password. */
function withPassword(url: string, password: string): string {
  const changed = new URL(url);
  changed.password = password;
  return changed.href;
}

function envOf(service: ServiceName): NodeJS.ProcessEnv {
  const keys = path.join(folder, "keys");
  return {
    PATH: process.env.PATH,
    ...env,
    CAS_SECRETS_DIR: attestry.secretsDir,
    ATTESTRY_SIGNING_KEY_FILE: path.join(keys, `${service}.jwk.json`),
    ATTESTRY_JWKS_FILE: path.join(keys, "jwks.json"),
    WORKFLOW_RUN_ADDR: attestry.runUrl,
    CAS_GATEWAY_ADDR: attestry.casUrl,
    WORKFLOW_RUN_LISTEN: "127.0.0.1:0",
    ATTESTATION_INGEST_LISTEN: "127.0.0.1:0",
    CAS_GATEWAY_LISTEN: "127.0.0.1:0",
    SHUTDOWN_DRAIN: "0",
  };
}

describeWith(["redis", "minio"], "secrets", () => {
  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), "attestry-secrets-"));
    databases = { run: await createTestDatabase(), ingest: await createTestDatabase() };
    kept.add("the database's password", new URL(databases.run.url).password);
    redis = await startRedis({ password: kept.mark("the password of Redis") });
    env = {
      LOG_LEVEL: "debug",
      WORKFLOW_RUN_DATABASE_URL: databases.run.url,
      ATTESTATION_INGEST_DATABASE_URL: databases.ingest.url,
      REDIS_URL: redis.url,
    };
    attestry = await startConstellation({
      ...{ shape: "processes", backend: "s3", dir: folder, env },
      onOutput: (_name, text) => {
        logs += text;
      },
    });
    const { secretKey } = JSON.parse(await readFile(path.join(attestry.secretsDir, "_shared/minio.json"), "utf8"));
    kept.add("the store's secret key", secretKey);
    for (const service of services) {
      const { d } = JSON.parse(await readFile(path.join(folder, "keys", `${service}.jwk.json`), "utf8"));
      kept.add(`the private key of ${service}`, d);
    }
    const [, , authorityKey = ""] = (await readFile(path.join(folder, "keys/signing-ca-key.pem"), "utf8")).split("\n");
    kept.add("the key of the signing authority", authorityKey);
    sent.addToken("the first token", attestry.adminToken);
    clients = clientsOf(attestry, attestry.adminToken);
  });
  afterAll(async () => {
    await attestry?.stop();
    await redis?.stop();
    await Promise.all([databases?.run.drop(), databases?.ingest.drop()]);
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  test("of bundles, good and bad", async () => {
    const mark = content.mark("what a bundle says");
    const bundle = JSON.parse(fixture("C16-v01-no-checkpoint.json").toString());
    const statement = JSON.parse(Buffer.from(bundle.dsseEnvelope.payload, "base64").toString());
    const bytesOf = (value: unknown) => Buffer.from(JSON.stringify(value));
    const changed = (change: object | string) => {
      const payload = bytesOf(typeof change === "string" ? change : { ...statement, ...change }).toString("base64");
      return { ...bundle, dsseEnvelope: { ...bundle.dsseEnvelope, payload } };
    };
    // Without a key to check it by.
    const good = bytesOf(changed({ predicate: { secret: mark } }).dsseEnvelope);
    const { digest } = await clients.attestations.store({ runId: await startRun(clients), bundle: good });
    expect(await download(clients, digest)).toEqual(good);
    const bad = [
      Buffer.from(`{"dsseEnvelope": ${mark}`),
      bytesOf(mark),
      bytesOf({ ...bundle, verificationMaterial: mark }),
      bytesOf({ ...bundle, dsseEnvelope: mark }),
      bytesOf({ ...bundle, dsseEnvelope: { payload: `*${mark}`, signatures: [{ sig: mark }] } }),
      bytesOf(changed(mark)),
      bytesOf(changed({ predicate: mark, subject: [] })),
      bytesOf(changed({ predicate: mark, _type: "none" })),
      bytesOf(changed({ predicate: { secret: mark } })),
      Buffer.concat([good, Buffer.from([0xff])]),
    ];
    for (const each of bad) await told(clients.attestations.store({ runId: await startRun(clients), bundle: each }));
    await told(clients.attestations.store({ runId: await startRun(clients), bundle: good.subarray(0, -9) }));
  });

  test("of backends whose secrets are wrong, malformed or not there", async () => {
    const own = path.join(attestry.secretsDir, "default");
    await mkdir(own, { recursive: true });
    const good = JSON.parse(await readFile(path.join(attestry.secretsDir, "_shared/minio.json"), "utf8"));
    const secret = (name: string) => kept.mark(`the secret key of ${name}`);
    const files: Record<string, string> = {
      denied: JSON.stringify({ ...good, accessKey: "nobody", secretKey: secret("nobody") }),
      mistaken: JSON.stringify({ ...good, secretKey: secret("the backend mistaken") }),
      broken: `{"provider":"s3","secretKey":"${secret("broken JSON")}" "bucket"}`,
      odd: JSON.stringify({ provider: "s3", endpoint: secret("an odd endpoint"), secretKey: secret("an odd one") }),
      url: JSON.stringify({ ...good, endpoint: `http://u:${secret("a URL")}@127.0.0.1:1`, secretKey: secret("away") }),
      away: JSON.stringify({ ...good, endpoint: "http://127.0.0.1:1", secretKey: secret("a store that is away") }),
    };
    for (const [name, text] of Object.entries(files)) await writeFile(path.join(own, `${name}.json`), text);
    for (const secretRef of [...Object.keys(files), "absent"]) {
      await told(clients.backends.create({ name: secretRef, provider: BackendProvider.S3, secretRef }));
      await told(clients.backends.validate({ name: secretRef }));
      const body = `a blob of ${secretRef}`;
      const url = `${attestry.casUrl}/v1/blobs/${digestOf(Buffer.from(body))}?instance=${secretRef}`;
      await ask(url, { authorization: `Bearer ${attestry.adminToken}` }, "PUT", body);
    }
    answers += JSON.stringify((await clients.backends.list({})).backends, (_, value) =>
      typeof value === "bigint" ? String(value) : value,
    );
  });

  test("of callers: tokens of each kind, in headers of each form, in URLs and in fields that are not for them", async () => {
    const { secret } = await clients.tokens.create({ name: "ci", role: Role.CI });
    const ci = sent.addToken("an API token", secret);
    const transport = createGrpcTransport({ baseUrl: attestry.runUrl });
    const issued = await createClient(CredentialService, transport).issueCasToken(
      { purpose: { case: "upload", value: { backend: "" } } },
      { headers: { authorization: `Bearer ${ci}` } },
    );
    const cas = sent.addToken("a CAS token", issued.token);
    const mark = sent.mark("a credential of a caller");
    const digest = digestOf(fixture("C04-git-commit.json"));
    const values = [
      ...[mark, `Bearer ${mark}`, `Basic ${Buffer.from(`user:${mark}`).toString("base64")}`, `Bearer ${ci} ${mark}`],
      ...[`Bearer ${ci}${mark}`, `bearer ${cas}`, `Token ${ci}`, `Bearer ${ci.slice(0, -5)}`, `Digest a="${mark}"`],
    ];
    for (const base of [attestry.runUrl, attestry.ingestUrl, attestry.casUrl]) {
      for (const authorization of values) {
        for (const url of [`/v1/blobs/${digest}`, "/attestry.run.v1.RunService/List", "/metrics", "/nothing"]) {
          const method = url.includes("Service") ? "POST" : "GET";
          await ask(`${base}${url}`, { authorization, "content-type": "application/json" }, method, "");
        }
      }
      const headers = { cookie: `token=${mark}`, "x-api-key": mark, "proxy-authorization": `Basic ${mark}` };
      await ask(`${base}/v1/blobs/${digest}?token=${ci}&access_token=${mark}`, headers);
      await ask(`${base}/v1/blobs/${digest}?token=${cas}`, { ...headers, accept: "text/html" });
      await ask(`${base}/v1/blobs/${digest}?token=${mark}`, headers);
      await ask(
        `${base}/attestry.run.v1.RunService/Get?connect=v1&encoding=json&message=%7B%7D&token=${mark}`,
        headers,
      );
      await ask(`${base}/${ci}`, headers);
    }
    for (const token of [ci, cas]) {
      const text = `${token} `;
      await told(clients.runs.create({ project: token, workflow: text, idempotencyKey: token }));
      await told(clients.runs.get({ by: { case: "runId", value: token } }));
      await told(clients.runs.list({ pageToken: token }));
      await told(clients.runs.list({ project: token }));
      await told(clients.attestations.get({ by: { case: "digest", value: token } }));
      await told(clients.attestations.list({ subjectDigest: token }));
      await told(clients.attestations.list({ subjectDigest: `sha256:${token}`, pageToken: token }));
      await told(clients.attestations.list({ workflow: token }));
      await told(clients.attestations.store({ runId: token, bundle: Buffer.from(token) }));
      await told(clients.tokens.create({ name: token, role: Role.CI }));
      await told(clients.tokens.create({ name: "x", role: Role.CI, organization: token }));
      await told(clients.tokens.revoke({ token }));
      await told(clients.organizations.create({ name: token }));
      await told(clients.backends.create({ name: "t", provider: BackendProvider.S3, secretRef: token, prefix: token }));
      await told(clients.backends.get({ name: token }));
      await ask(`${attestry.casUrl}/v1/blobs/${token}?instance=${token}`, { authorization: `Bearer ${ci}` });
    }
  });

  test("of processes that cannot start, lose a server, or crash", async () => {
    const wrong = kept.mark("a wrong password of the database");
    const wrongUrl = withPassword(databases.run.url, wrong);
    const unreadable = `postgres://u:${kept.mark("the password in a malformed URL")}@127.0.0.1:notaport/db`;
    const run = (change: NodeJS.ProcessEnv, args: string[] = [], until = /cannot be used yet|notaport|Invalid URL/) =>
      outputOf({ service: "workflow-run", args, env: { ...envOf("workflow-run"), ...change }, until });
    const ingest = (change: NodeJS.ProcessEnv, until: RegExp) =>
      outputOf({ service: "attestation-ingest", env: { ...envOf("attestation-ingest"), ...change }, until });
    const written = await Promise.all([
      run({ WORKFLOW_RUN_DATABASE_URL: wrongUrl }),
      run({ WORKFLOW_RUN_DATABASE_URL: wrongUrl }, ["migrate"]),
      run({ WORKFLOW_RUN_DATABASE_URL: unreadable }),
      run({ WORKFLOW_RUN_DATABASE_URL: unreadable }, ["migrate"]),
    ]);
    // Given the wrong way round.
    const authority = {
      cert: path.join(folder, "keys/signing-ca.pem"),
      key: path.join(folder, "keys/signing-ca-key.pem"),
    };
    const swapped = { SIGNING_CA_CERT_FILE: authority.key, SIGNING_CA_KEY_FILE: authority.cert };
    written.push(await run(swapped, [], /no signing authority/));
    expect(written.at(-1)).toContain("no signing authority");
    const redisPort = redis.port;
    const wrongRedis = kept.mark("a wrong password of Redis");
    written.push(
      await ingest({ REDIS_URL: `redis://:${wrongRedis}@127.0.0.1:${redisPort}` }, /Redis is away/),
      await ingest({ REDIS_URL: `redis://:${wrongRedis}@127.0.0.1:notaport` }, /Redis is away|Invalid URL/),
      await ingest({ ATTESTATION_INGEST_DATABASE_URL: wrongUrl }, /cannot be used yet/),
    );
    const crash = encodeURIComponent(
      "setTimeout(() => { const { REDIS_URL: url } = process.env; throw Object.assign(new Error('crash'), { command: { args: [url] } }); }, 300)",
    );
    written.push(
      await outputOf({
        service: "cas-gateway",
        env: { ...envOf("cas-gateway"), NODE_OPTIONS: `--import=data:text/javascript,${crash}` },
      }),
    );
    for (const output of written) expect(output).not.toBe("");
    expect(written.at(-1)).toContain("crash");
    logs += written.join("\n");
  });

  test("are nowhere in what was written", async () => {
    let metrics = "";
    for (const url of [attestry.runUrl, attestry.ingestUrl, attestry.casUrl]) {
      metrics += await (await fetch(`${url}/metrics`)).text();
    }
    const servers = { runDatabase: databases.run.url, ingestDatabase: databases.ingest.url };
    const looked = new Databases({ ...attestry, servers });
    const rows = (await looked.everything()).join("\n");
    await looked.end();
    // What would be found if it were there is there: the search is none of nothing.
    expect(logs).toContain('"level":"debug"');
    expect(rows).toContain("mistaken");
    expect(sent.foundIn(`x${attestry.adminToken}`, "itself")).not.toEqual([]);

    const found = [kept, sent, content].flatMap((secrets) => [
      ...secrets.foundIn(logs, "the logs"),
      ...secrets.foundIn(metrics, "the metrics"),
    ]);
    found.push(...kept.foundIn(answers, "the answers"));
    found.push(...kept.foundIn(rows, "the databases"), ...sent.foundIn(rows, "the databases"));
    const isMeant = (file: string) => /^(keys|secrets)\//.test(file);
    for (const secrets of [kept, sent, content]) found.push(...(await secrets.foundBelow(folder, isMeant)));
    expect(found).toEqual([]);
  });
});
