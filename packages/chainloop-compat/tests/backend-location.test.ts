import { Role } from "@attestry/api/run";
import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { CASCredentialsServiceGetRequest_Role as CasRole } from "../src/gen/controlplane/v1/cas_credentials_pb.ts";
import { type CommandLine, chainloopToken, commandLine, initialize } from "./command-line.ts";
import { refused } from "./refused.ts";

let attestry: Constellation;

beforeAll(async () => {
  attestry = await startConstellation({ shape: "one-process", backend: "filesystem" });
}, 60_000);
afterAll(() => attestry?.stop(), 60_000);

const asRole = async (role: Role) => commandLine(attestry.ingestUrl, await chainloopToken(attestry, role));

/** As each answer that shows a backend has it. */
async function shown(cli: CommandLine): Promise<{ name: string | undefined; location: string | undefined }[]> {
  const workflowRunId = await initialize(cli);
  const backends = [
    (await cli.context.current({})).result?.currentCasBackend,
    (await cli.attestations.getUploadCreds({ workflowRunId })).result?.backend,
    (await cli.cas.get({ role: CasRole.UPLOADER })).result?.backend,
  ];
  return backends.map((backend) => ({ name: backend?.name, location: backend?.location }));
}

test("a backend is at its name for a token that may not list backends, and at its secret for one that may", async () => {
  const admin = await asRole(Role.ADMIN);
  const backend = (await admin.backends.list({})).result.find((one) => one.default);
  expect(backend?.location).toMatch(/^_shared\/./);
  const { name, location } = backend ?? {};
  expect(await shown(admin)).toEqual(Array(3).fill({ name, location }));
  const ci = await asRole(Role.CI);
  expect((await refused(ci.backends.list({}))).code).toBe(Code.PermissionDenied);
  expect(await shown(ci)).toEqual(Array(3).fill({ name, location: name }));
});
