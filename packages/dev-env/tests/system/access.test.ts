import { chainloopAccess as controlPlaneAccess, access as ingestAccess } from "@attestry/attestation-ingest";
import { access as casAccess, chainloopAccess } from "@attestry/cas-gateway";
import { type AccessRule, Keyring, methodName, type ServiceName } from "@attestry/service-kit";
import { access as runAccess } from "@attestry/workflow-run";
import type { DescMethod } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Constellation, startConstellation } from "../../src/constellation/index.ts";
import { type Outcome, outcomeOf, reflectedServices } from "./reflected.ts";
import { Keys } from "./signed-by.ts";

/** Every method of every service, called by everybody who may not, and by those who may. */

const tables = {
  "workflow-run": runAccess,
  "attestation-ingest": { ...ingestAccess, ...controlPlaneAccess },
  "cas-gateway": { ...casAccess, ...chainloopAccess },
} as const;
const serviceNames = Object.keys(tables) as ServiceName[];
/** What each server has beside its module's services, for everybody. */
const forEverybody = [
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
];

interface Caller {
  who: string;
  token: string;
  /** What the call is told; "admitted": whatever the method says to an empty request. */
  verdict: "admitted" | Refusal;
}
type Refusal =
  | `TOKEN_${"MISSING" | "MALFORMED" | "EXPIRED" | "SIGNATURE_INVALID" | "AUDIENCE_WRONG"}`
  | "ROLE_INSUFFICIENT";

let attestry: Constellation;
let keys: Keys;
const transports = new Map<ServiceName, Transport>();
const methods = new Map<ServiceName, DescMethod[]>();

beforeAll(async () => {
  attestry = await startConstellation({
    ...{ shape: "processes", backend: "filesystem" },
    env: { CHAINLOOP_COMPAT: "true" },
  });
  keys = new Keys(attestry);
  const urls = {
    "workflow-run": attestry.runUrl,
    "attestation-ingest": attestry.ingestUrl,
    "cas-gateway": attestry.casUrl,
  };
  for (const service of serviceNames) {
    const transport = createGrpcTransport({ baseUrl: urls[service] });
    transports.set(service, transport);
    methods.set(
      service,
      (await reflectedServices(transport)).flatMap((described) => described.methods),
    );
  }
}, 120_000);
afterAll(async () => {
  await attestry?.stop();
});

describe.each(serviceNames)("%s", (service) => {
  test("each method that it has is in its table, and the other way round", () => {
    const served = (methods.get(service) ?? []).filter(({ parent }) => !forEverybody.includes(parent.typeName));
    expect(served.map(methodName).sort()).toEqual(Object.keys(tables[service]).sort());
  });

  test("what needs no token answers without", async () => {
    for (const method of (methods.get(service) ?? []).filter(({ parent }) => forEverybody.includes(parent.typeName))) {
      // A watch of health never ends.
      if (method.name === "Watch") continue;
      expect((await outcome(service, method, "")).reason).toBeUndefined();
    }
  });

  test.each(Object.keys(tables[service]))("%s", async (name) => {
    const method = (methods.get(service) ?? []).find((one) => methodName(one) === name);
    const rule = tables[service][name];
    if (method === undefined || rule === undefined) throw new Error(`${name} is not served`);
    const wrong: string[] = [];
    for (const { who, token, verdict } of await callersOf(service, rule)) {
      const came = await outcome(service, method, token);
      if (!isAsToBe(came, verdict)) wrong.push(`${who}: ${verdict}; came ${came.code} ${came.reason}: ${came.message}`);
    }
    expect(wrong).toEqual([]);
  });
});

function outcome(service: ServiceName, method: DescMethod, token: string): Promise<Outcome> {
  const transport = transports.get(service);
  if (transport === undefined) throw new Error(`${service} was not started`);
  return outcomeOf(transport, method, token);
}

function isAsToBe({ code, reason = "" }: Outcome, verdict: Caller["verdict"]): boolean {
  if (verdict === "admitted")
    return code !== "Unauthenticated" && code !== "PermissionDenied" && reason !== "REVOCATIONS_UNKNOWN";
  return reason === verdict && code === (verdict === "ROLE_INSUFFICIENT" ? "PermissionDenied" : "Unauthenticated");
}

async function callersOf(service: ServiceName, rule: AccessRule): Promise<Caller[]> {
  const callers = [...(await strangers(service)), ...(await knownCallers(service, rule))];
  // What needs no token does not look at one.
  return rule.public ? callers.map((caller) => ({ ...caller, verdict: "admitted" })) : callers;
}

const nobody = "0190a000-0000-7000-8000-000000000000";
const claims = (role: "admin" | "ci" | "reader", instanceAdmin = false) => ({
  ...{ tokenId: nobody, organizationId: attestry.organizationId, organization: "default", role, instanceAdmin },
});
const backend = { id: nobody, name: "local", provider: "filesystem", secretRef: "_shared/local", prefix: "" } as const;
const casClaims = (role: "uploader" | "downloader" | "manager") => ({
  ...{ organizationId: attestry.organizationId, organization: "default", role, space: "blobs" as const },
  ...{ backends: [backend], maxBytes: 1_000 },
});

/** Whose tokens no service takes, whatever the method. */
async function strangers(service: ServiceName): Promise<Caller[]> {
  const run = await keys.keyring("workflow-run");
  const admin = await run.issueApiToken(claims("admin", true));
  const foreign = await Keyring.generate();
  const second = Math.floor(Date.now() / 1_000);
  const serviceClaims = { aud: `attestry/service/${service}`, iat: second };
  const other = serviceNames.find((one) => one !== service) ?? service;
  return [
    { who: "no token", token: "", verdict: "TOKEN_MISSING" },
    { who: "garbage", token: "garbage", verdict: "TOKEN_MALFORMED" },
    {
      who: "a token that ran out",
      token: await run.issueApiToken({ ...claims("admin", true), expiresAt: new Date(Date.now() - 120_000) }),
      verdict: "TOKEN_EXPIRED",
    },
    {
      who: "a foreign key",
      token: await foreign["workflow-run"].issueApiToken(claims("admin", true)),
      verdict: "TOKEN_SIGNATURE_INVALID",
    },
    {
      who: "a foreign service",
      token: await foreign["cas-gateway"].serviceToken(service),
      verdict: "TOKEN_SIGNATURE_INVALID",
    },
    { who: "alg none", token: await keys.unsigned(admin), verdict: "TOKEN_SIGNATURE_INVALID" },
    { who: "HS256", token: await keys.withPublicKeyAsSecret(admin), verdict: "TOKEN_SIGNATURE_INVALID" },
    {
      who: "an API token by another service",
      token: await (await keys.keyring("cas-gateway")).issueApiToken(claims("admin", true)),
      verdict: "TOKEN_AUDIENCE_WRONG",
    },
    {
      who: "a CAS token by another service",
      token: (await (await keys.keyring("attestation-ingest")).issueCasToken(casClaims("manager"))).token,
      verdict: "TOKEN_AUDIENCE_WRONG",
    },
    {
      who: "a service in another's name",
      token: await keys.sign("cas-gateway", { ...serviceClaims, iss: "attestation-ingest", exp: second + 60 }),
      verdict: "TOKEN_SIGNATURE_INVALID",
    },
    { who: "a service token for another", token: await run.serviceToken(other), verdict: "TOKEN_AUDIENCE_WRONG" },
    {
      who: "a service token without end",
      token: await keys.sign("workflow-run", serviceClaims),
      verdict: "TOKEN_MALFORMED",
    },
    {
      who: "a service token that lives too long",
      token: await keys.sign("workflow-run", { ...serviceClaims, exp: second + 61 }),
      verdict: "TOKEN_MALFORMED",
    },
    {
      who: "a service token that ran out",
      token: await keys.sign("workflow-run", { ...serviceClaims, iat: second - 180, exp: second - 120 }),
      verdict: "TOKEN_EXPIRED",
    },
  ];
}

/** Each role, service and kind of CAS token; what the rule does not name is refused. */
async function knownCallers(service: ServiceName, rule: AccessRule): Promise<Caller[]> {
  const run = await keys.keyring("workflow-run");
  const callers: Caller[] = [];
  const known = (who: string, token: string, isNamed: boolean, otherwise: Refusal = "ROLE_INSUFFICIENT") =>
    callers.push({ who, token, verdict: isNamed ? "admitted" : otherwise });
  const roles = ["reader", "ci", "admin"] as const;
  for (const role of roles) {
    const mayAsRole = rule.api !== undefined && roles.indexOf(role) >= roles.indexOf(rule.api);
    known(role, await run.issueApiToken(claims(role)), mayAsRole);
    const mayAsOwner = mayAsRole || rule.instanceAdmin === true;
    known(`instance admin, ${role}`, await run.issueApiToken(claims(role, true)), mayAsOwner);
  }
  for (const caller of serviceNames) {
    const token = await (await keys.keyring(caller)).serviceToken(service);
    known(`service ${caller}`, token, rule.services?.includes(caller) ?? false);
  }
  for (const role of ["uploader", "downloader", "manager"] as const) {
    const { token } = await run.issueCasToken(casClaims(role));
    const otherwise = service === "cas-gateway" ? "ROLE_INSUFFICIENT" : "TOKEN_AUDIENCE_WRONG";
    known(`CAS ${role}`, token, rule.cas?.includes(role) ?? false, otherwise);
  }
  return callers;
}
