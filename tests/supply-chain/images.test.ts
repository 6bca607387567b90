import { expect, test } from "@jest/globals";
import { readText, readYaml } from "./src/root.ts";

interface ComposeService {
  read_only?: boolean;
  cap_drop?: string[];
  cap_add?: string[];
  security_opt?: string[];
  privileged?: boolean;
  network_mode?: string;
  ports?: string[];
  volumes?: string[];
}

const { services } = readYaml<{ services: Record<string, ComposeService> }>("docker-compose.yml");
const named = Object.entries(services);

/** The instructions of the last stage, the one that becomes the image. */
function lastStage(file: string): { instruction: string; value: string }[] {
  const lines = readText(file)
    .replaceAll("\\\n", " ")
    .split("\n")
    .map((line) => /^([A-Z]+)\s+(.*)$/.exec(line))
    .flatMap((match) => (match === null ? [] : [{ instruction: match[1] ?? "", value: match[2] ?? "" }]));
  return lines.slice(lines.findLastIndex(({ instruction }) => instruction === "FROM"));
}

test.each(["Dockerfile", "deploy/minio/Dockerfile"])("the image of %s runs as a user that is not root", (file) => {
  const user = lastStage(file).findLast(({ instruction }) => instruction === "USER")?.value;
  expect(user).toMatch(/^(?!root\b|0\b)[a-z0-9]+/);
});

test.each(["Dockerfile", "deploy/minio/Dockerfile"])("%s fetches nothing by a URL that anybody may change", (file) => {
  expect(readText(file)).not.toMatch(/^ADD\s+https?:|curl |wget /m);
});

test("compose has services", () => {
  expect(Object.keys(services)).toEqual(
    expect.arrayContaining(["workflow-run", "attestation-ingest", "attestation-ingest-worker", "cas-gateway"]),
  );
});

test.each(named)("%s: a root file system that is only read, no capability, no way to more rights", (name, service) => {
  expect(service).toMatchObject({ read_only: true, cap_drop: ["ALL"], security_opt: ["no-new-privileges:true"] });
  expect(service.privileged ?? false).toBe(false);
  // Only what begins as root and becomes another user by itself keeps some.
  if (name !== "postgres") expect(service.cap_add ?? []).toEqual([]);
});

test.each(named)(
  "%s: nothing of the host but what is its own to read, and no port but on loopback",
  (_name, service) => {
    const fromHost = (service.volumes ?? []).filter((volume) => /^[./~]/.test(volume));
    expect(fromHost.filter((volume) => !volume.endsWith(":ro"))).toEqual([]);
    expect(service.network_mode ?? "none").toBe("none");
    expect((service.ports ?? []).filter((port) => !port.startsWith("127.0.0.1:"))).toEqual([]);
  },
);

test("only the gateway is given the secrets of backends, and only to read", () => {
  const holders = named.filter(([, { volumes = [] }]) => volumes.some((volume) => volume.startsWith("cas-secrets:")));
  expect(holders.map(([name]) => name).sort()).toEqual(["bootstrap", "cas-gateway"]);
  expect(services["cas-gateway"]?.volumes).toContain("cas-secrets:/secrets:ro");
});
