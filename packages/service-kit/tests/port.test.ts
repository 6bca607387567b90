import { spawn } from "node:child_process";
import net from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ByteStream } from "@attestry/api/bytestream";
import { WorkflowService } from "@attestry/api/run";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { expect, test } from "@jest/globals";
import { createServiceTransport, DomainError, reasonOf } from "../src/index.ts";
import { adminToken, fakeModule, keyrings, serveModule } from "./fake-module.ts";

const { get } = WorkflowService.method;

/** As a program does that knows nothing of Connect. */
function plainGrpc(url: string) {
  const client = new Client(new URL(url).host, credentials.createInsecure());
  function call(
    bytes: Buffer,
    token?: string,
    path = "/attestry.run.v1.WorkflowService/Get",
  ): Promise<string | ServiceError> {
    const metadata = new Metadata();
    if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
    return new Promise((resolve) => {
      client.makeUnaryRequest(
        path,
        (raw: Buffer) => raw,
        (raw) => fromBinary(get.output, raw).workflow?.name ?? "",
        bytes,
        metadata,
        { deadline: Date.now() + 5_000 },
        (error, name) => resolve(error ?? name ?? ""),
      );
    });
  }
  return { call, close: () => client.close() };
}

test("a plain gRPC client: an answer, a refusal, a malformed message", async () => {
  const server = await serveModule(fakeModule({ get: ({ name }) => ({ workflow: { name } }) }));
  const client = plainGrpc(server.url);
  const request = Buffer.from(toBinary(get.input, { $typeName: get.input.typeName, project: "", name: "w" } as never));
  expect(await client.call(request, adminToken)).toBe("w");
  expect(await client.call(request)).toMatchObject({
    code: Code.Unauthenticated,
    details: "this call needs a token: send the header `authorization: Bearer <token>`",
  });
  const malformed = await client.call(Buffer.from([10, 200]), adminToken);
  expect(malformed).toMatchObject({ code: Code.InvalidArgument });
  const details = (malformed as ServiceError).metadata.get("grpc-status-details-bin")[0];
  expect(details?.toString()).toContain("REQUEST_MALFORMED");
  client.close();
  await server.close();
});

test.each(["attestry.run.v1.WorkflowService/Gone", "attestry.run.v1.Gone/Get"])(
  "a plain gRPC client is told that %s is not served",
  async (method) => {
    const server = await serveModule(fakeModule());
    const client = plainGrpc(server.url);
    const refused = await client.call(Buffer.of(), adminToken, `/${method}`);
    expect(refused).toMatchObject({ code: Code.Unimplemented, details: `${method} is not served here` });
    client.close();
    await server.close();
  },
);

test("a socket that says nothing is cut when the server closes", async () => {
  const server = await serveModule(fakeModule());
  const sockets = ["", "P", "PRI * HTTP/2.0\r\n"].map((first) => {
    const socket = net.connect(server.port, "127.0.0.1").on("error", () => undefined);
    socket.write(first);
    return new Promise((resolve) => socket.once("close", resolve).resume());
  });
  await sleep(50);
  const began = Date.now();
  await server.close();
  await Promise.all(sockets);
  expect(Date.now() - began).toBeLessThan(1_000);
});

test("a socket that does not say what it is, is cut after 5 s", async () => {
  const server = await serveModule(fakeModule());
  const began = Date.now();
  const socket = net.connect(server.port, "127.0.0.1").on("error", () => undefined);
  socket.write("PRI");
  await new Promise((resolve) => socket.once("close", resolve).resume());
  expect(Date.now() - began).toBeGreaterThan(4_000);
  expect(Date.now() - began).toBeLessThan(8_000);
  await server.close();
});

test("a stream under way when the server closes comes to its end", async () => {
  const server = await serveModule(
    fakeModule({
      async *read() {
        for (let i = 0; i < 5; i++) {
          yield { data: new Uint8Array([i]) };
          await sleep(50);
        }
      },
    }),
  );
  const client = createClient(ByteStream, createGrpcTransport({ baseUrl: server.url }));
  const read: number[] = [];
  let closed: Promise<void> | undefined;
  for await (const { data } of client.read({}, { headers: { authorization: `Bearer ${adminToken}` } })) {
    read.push(...data);
    closed ??= server.close();
  }
  await closed;
  expect(read).toEqual([0, 1, 2, 3, 4]);
});

test("a call that is not idempotent is not tried again", async () => {
  let calls = 0;
  const server = await serveModule(
    fakeModule({
      async write() {
        calls++;
        throw new DomainError("DATABASE_UNAVAILABLE", "away", { retryAfterMs: 1_000 });
      },
    }),
  );
  const identity = { keyring: keyrings["attestation-ingest"], to: "workflow-run" } as const;
  const transport = createServiceTransport({ ...identity, address: server.url });
  async function* one() {
    yield {};
  }
  const error = await createClient(ByteStream, transport)
    .write(one())
    .catch((cause: unknown) => cause);
  expect([reasonOf(error), calls]).toEqual(["DATABASE_UNAVAILABLE", 1]);
  transport.close();
  await server.close();
});

test("a process that has served, called and destroyed all ends by itself", async () => {
  const script = path.join(import.meta.dirname, "whole-life.ts");
  const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  const code = await new Promise((resolve) => child.once("exit", (status, signal) => resolve(signal ?? status)));
  clearTimeout(timer);
  const endedAfterMs = Date.now() - Number(/destroyed at (\d+)/.exec(output)?.[1]);
  expect(code).toBe(0);
  expect(endedAfterMs).toBeLessThan(1_500);
});
