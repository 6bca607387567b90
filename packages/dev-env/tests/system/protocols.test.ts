import { AttestationService } from "@attestry/api/ingest";
import { ServerReflection, ServerReflectionV1Alpha } from "@attestry/api/reflection";
import { RunService, WorkflowService } from "@attestry/api/run";
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import grpc from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Constellation, startConstellation } from "../../src/constellation/index.ts";
import { digestOf, uniqueBundle } from "./fixtures.ts";

let attestry: Constellation;
let headers: { authorization: string };

beforeAll(async () => {
  attestry = await startConstellation({ shape: "one-process", backend: "filesystem" });
  headers = { authorization: `Bearer ${attestry.adminToken}` };
}, 60_000);
afterAll(() => attestry?.stop());

test("HTTP with JSON, as curl speaks it", async () => {
  async function post(method: string, body: object): Promise<Record<string, unknown>> {
    const response = await fetch(`${attestry.runUrl}/${method}`, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(200);
    return (await response.json()) as Record<string, unknown>;
  }
  const bundle = uniqueBundle();
  const created = await post("attestry.run.v1.RunService/Create", { project: "shop", workflow: "json" });
  const { id: runId } = created.run as { id: string };
  const stored = await post("attestry.ingest.v1.AttestationService/Store", {
    runId,
    bundle: bundle.toString("base64"),
  });
  expect(stored).toMatchObject({ runId, digest: digestOf(bundle) });
  const read = await post("attestry.ingest.v1.AttestationService/Get", { runId });
  expect(read.bundle).toBe(bundle.toString("base64"));
});

test("gRPC, by a client that is not ours", async () => {
  const client = new grpc.Client(new URL(attestry.runUrl).host, grpc.credentials.createInsecure());
  const metadata = new grpc.Metadata();
  metadata.set("authorization", headers.authorization);
  function call<I extends DescMessage, O extends DescMessage>(
    { parent, name, input, output }: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        `/${parent.typeName}/${name}`,
        (message: MessageShape<I>) => Buffer.from(toBinary(input, message)),
        (bytes) => fromBinary(output, bytes),
        create(input, request),
        metadata,
        (error, answer) => (answer === undefined ? reject(error ?? new Error("no answer")) : resolve(answer)),
      );
    });
  }
  try {
    const bundle = uniqueBundle();
    const { run } = await call(RunService.method.create, { project: "shop", workflow: "grpc" });
    const runId = run?.id ?? "";
    expect(await call(AttestationService.method.store, { runId, bundle })).toMatchObject({ digest: digestOf(bundle) });
    const read = await call(AttestationService.method.get, { by: { case: "runId", value: runId } });
    expect(Buffer.compare(read.bundle, bundle)).toBe(0);
    await expect(call(AttestationService.method.get, { by: { case: "runId", value: "x" } })).rejects.toMatchObject({
      code: grpc.status.INVALID_ARGUMENT,
    });
  } finally {
    client.close();
  }
});

test("gRPC-Web, as a browser speaks it", async () => {
  const transport = createGrpcWebTransport({ baseUrl: attestry.runUrl, httpVersion: "1.1" });
  await createClient(WorkflowService, transport).findOrCreate({ project: "shop", name: "web" }, { headers });
  const { workflows } = await createClient(WorkflowService, transport).list({}, { headers });
  expect(workflows.map(({ name }) => name)).toContain("web");
});

test.each([
  ["v1", ServerReflection],
  ["v1alpha", ServerReflectionV1Alpha],
] as const)("reflection %s, as grpcurl lists and describes", async (_version, service) => {
  const transport = createGrpcTransport({ baseUrl: attestry.runUrl });
  async function* ask() {
    yield { messageRequest: { case: "listServices" as const, value: "*" } };
    yield { messageRequest: { case: "fileContainingSymbol" as const, value: AttestationService.typeName } };
  }
  const answers = [];
  for await (const { messageResponse } of createClient(
    service as typeof ServerReflection,
    transport,
  ).serverReflectionInfo(ask())) {
    answers.push(messageResponse);
  }
  const [list, described] = answers;
  const listed = list?.case === "listServicesResponse" ? list.value.service.map(({ name }) => name) : [];
  expect(listed).toEqual(expect.arrayContaining([RunService.typeName, AttestationService.typeName]));
  expect(described?.case).toBe("fileDescriptorResponse");
});
