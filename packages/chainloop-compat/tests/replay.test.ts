import { BackendService, OrganizationService, Role, TokenService } from "@attestry/api/run";
import { describeWith } from "@attestry/dev-env";
import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { type DescMessage, fromBinary, fromJson, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { allowances, unexplained } from "./replay/allowed.ts";
import { RawCaller } from "./replay/caller.ts";
import { type Difference, differences, replaced } from "./replay/compare.ts";
import { type RecordedCall, recording } from "./replay/recording.ts";

describeWith(
  ["minio"],
  "the recorded conversations of the command line, with Attestry in place of its own server",
  () => {
    const seen: Difference[] = [];

    afterAll(() => {
      // An allowance that nothing needs would hide the next fault.
      const unused = allowances.filter(({ path }) => !seen.some((one) => path.test(one.path)));
      expect(unused).toEqual([]);
    });

    describe.each([
      { backend: "inline" as const, organization: "acme", recordings: ["inline", "reset"] as const },
      { backend: "s3" as const, organization: "globex", recordings: ["s3", "look"] as const },
    ])("$backend", ({ backend, recordings, organization }) => {
      let attestry: Constellation;
      let caller: RawCaller;
      /** What has another value here, such as an id: by what the recording has. */
      const ours = new Map<string, string>();

      beforeAll(async () => {
        attestry = await startConstellation({ shape: "processes", backend, env: { CHAINLOOP_COMPAT: "true" } });
        if (backend === "s3") await validateBackend(attestry);
        caller = new RawCaller(attestry.ingestUrl, { token: await makeToken(attestry), organization: "default" });
        await storeOneBefore(caller, backend);
      }, 60_000);
      afterAll(async () => {
        caller?.close();
        await attestry?.stop();
      }, 60_000);

      test.each(recordings)("%s", async (name) => {
        for (const recorded of recording(name)) {
          const { method, request } = recorded;
          const answer = await caller.call(
            `/${method.parent.typeName}/${method.name}`,
            rewritten(method.input, request, (json) => replaced(json, ours)),
          );
          const told = `${name} ${recorded.seq} ${method.name}`;
          expect([told, answer.code, answer.message]).toEqual([told, recorded.code, expectedMessage(recorded)]);
          if (recorded.response === undefined || answer.response === undefined) continue;
          const ofRecorded = replaced(json(method.output, recorded.response), new Map([[organization, "default"]]));
          const found = differences(
            comparable(recorded, ofRecorded),
            comparable(recorded, json(method.output, answer.response), buildsIn(recorded, ofRecorded)),
          );
          seen.push(...found);
          for (const one of found) learn(ours, one);
          expect([told, unexplained(found)]).toEqual([told, []]);
        }
      });
    });
  },
);

/** Of a command line that is run in CI. */
async function makeToken({ runUrl, adminToken }: Constellation): Promise<string> {
  const transport = createGrpcTransport({ baseUrl: runUrl });
  const headers = { authorization: `Bearer ${adminToken}` };
  await createClient(OrganizationService, transport).get({}, { headers });
  const tokens = createClient(TokenService, transport);
  const { secret } = await tokens.create({ name: "chainloop", role: Role.CI, forChainloop: true }, { headers });
  return secret;
}

/** As the recorded one was, by its own server. */
async function validateBackend({ runUrl, adminToken }: Constellation): Promise<void> {
  const headers = { authorization: `Bearer ${adminToken}` };
  await createClient(BackendService, createGrpcTransport({ baseUrl: runUrl })).validate({ name: "minio" }, { headers });
}

/** The recorded workflows had one run each: with an attestation of the other conversation they have one here too. */
async function storeOneBefore(caller: RawCaller, backend: "inline" | "s3"): Promise<void> {
  const calls = recording(backend === "inline" ? "s3" : "inline");
  const runIds = new Map<string, string>();
  for (const { method, request, response } of calls.filter(({ method: { name } }) =>
    /^(FindOr|Init|Store)/.test(name),
  )) {
    const answer = await caller.call(
      `/${method.parent.typeName}/${method.name}`,
      rewritten(method.input, request, (value) => replaced(value, runIds)),
    );
    if (answer.response === undefined || response === undefined) throw new Error(`${method.name}: ${answer.message}`);
    for (const one of differences(json(method.output, response), json(method.output, answer.response)))
      learn(runIds, one);
  }
}

/** Ours says what is needed. */
function expectedMessage({ message, method }: RecordedCall): unknown {
  return message === "operation not allowed"
    ? `${method.parent.typeName}/${method.name} needs an API token with the role admin; came an API token with the role ci`
    : message;
}

interface RunList {
  result: { workflow: { name: string } }[];
}

/** Of the runs, those of this workflow, as many as the recorded page had among others. */
function comparable({ method }: RecordedCall, value: JsonValue, most?: number): JsonValue {
  if (method.parent.name !== "WorkflowRunService" || method.name !== "List") return value;
  const { result, ...rest } = value as unknown as RunList;
  return { ...rest, result: result.filter(({ workflow }) => workflow.name === "build").slice(0, most) } as JsonValue;
}

function buildsIn(recorded: RecordedCall, value: JsonValue): number | undefined {
  return (comparable(recorded, value) as unknown as Partial<RunList>).result?.length;
}

/** What one thing is named here, it is named in each answer. */
function learn(ours: Map<string, string>, { path, recorded, actual }: Difference): void {
  if (!/(^|\.)id$/.test(path) || typeof recorded !== "string" || typeof actual !== "string") return;
  const known = ours.get(recorded);
  if (known !== undefined && known !== actual)
    throw new Error(`${path}: recorded ${recorded} was ${known}, and is ${actual} now`);
  ours.set(recorded, actual);
}

function json(schema: DescMessage, bytes: Uint8Array): JsonValue {
  return toJson(schema, fromBinary(schema, bytes));
}

function rewritten(schema: DescMessage, bytes: Uint8Array, change: (value: JsonValue) => JsonValue): Buffer {
  return Buffer.from(toBinary(schema, fromJson(schema, change(json(schema, bytes)))));
}
