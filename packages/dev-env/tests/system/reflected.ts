import { ErrorInfoSchema, RetryInfoSchema } from "@attestry/api/errors";
import { ServerReflection } from "@attestry/api/reflection";
import { methodName } from "@attestry/service-kit";
import {
  create,
  createFileRegistry,
  createRegistry,
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  fromJson,
  type JsonValue,
  type Message,
  toJsonString,
} from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

/** Of what answers hold as `Any`. */
const registry = createRegistry(ErrorInfoSchema, RetryInfoSchema);
const deadlineMs = 30_000;

/** Every service that a server says it has, by its reflection, with the methods as it describes them. */
export async function reflectedServices(transport: Transport): Promise<DescService[]> {
  const client = createClient(ServerReflection, transport);
  async function ask(messageRequest: { case: "listServices" | "fileContainingSymbol"; value: string }) {
    for await (const { messageResponse } of client.serverReflectionInfo(once({ messageRequest })))
      return messageResponse;
    throw new Error("reflection did not answer");
  }
  const listed = await ask({ case: "listServices", value: "" });
  if (listed.case !== "listServicesResponse") throw new Error(`reflection answered ${listed.case}`);
  const services: DescService[] = [];
  for (const { name } of listed.value.service) {
    const described = await ask({ case: "fileContainingSymbol", value: name });
    if (described.case !== "fileDescriptorResponse")
      throw new Error(`reflection answered ${described.case} for ${name}`);
    services.push(serviceIn(described.value.fileDescriptorProto, name));
  }
  return services;
}

/** Methods by full name, as their servers describe them, with the way there. */
export type Served = ReadonlyMap<string, { method: DescMethod; transport: Transport }>;

/** Every method of the three services, by full name. */
export async function servedMethods(urls: { runUrl: string; ingestUrl: string; casUrl: string }): Promise<Served> {
  const served = new Map<string, { method: DescMethod; transport: Transport }>();
  for (const baseUrl of [urls.runUrl, urls.ingestUrl, urls.casUrl]) {
    const transport = createGrpcTransport({ baseUrl });
    for (const { methods } of await reflectedServices(transport)) {
      for (const method of methods) served.set(methodName(method), { method, transport });
    }
  }
  return served;
}

/** The method of that name. */
export function servedMethod(served: Served, name: string): { method: DescMethod; transport: Transport } {
  const found = served.get(name);
  if (found === undefined) throw new Error(`${name} is not served`);
  return found;
}

function serviceIn(encoded: readonly Uint8Array[], name: string): DescService {
  const files = encoded.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
  const found = createFileRegistry(create(FileDescriptorSetSchema, { file: importedFirst(files) })).getService(name);
  if (found === undefined) throw new Error(`reflection does not describe ${name}`);
  return found;
}

/** Each after what it imports, which the registry wants. Given one file it would order them itself, but not always so. */
function importedFirst(files: readonly FileDescriptorProto[]): FileDescriptorProto[] {
  const byName = new Map(files.map((file) => [file.name, file]));
  const ordered = new Set<FileDescriptorProto>();
  const add = (file: FileDescriptorProto | undefined) => {
    if (file === undefined || ordered.has(file)) return;
    for (const name of file.dependency) add(byName.get(name));
    ordered.add(file);
  };
  for (const file of files) add(file);
  return [...ordered];
}

/** What a caller learns from a call: how it was refused, or all that was answered. */
export interface Outcome {
  code: string;
  reason?: string | undefined;
  message: string;
  /** Of the error: names of its metadata, and whether it may be tried again. */
  shape?: string;
}

/** Calls any method with one message, given as JSON. Never throws; an answer has the code OK. */
export async function outcomeOf(
  transport: Transport,
  method: DescMethod,
  token: string,
  json: JsonValue = {},
): Promise<Outcome> {
  const header = token === "" ? {} : { authorization: `Bearer ${token}` };
  const message = fromJson(method.input, json);
  try {
    const answers: Message[] = [];
    if (isUnary(method)) {
      answers.push((await transport.unary(method, undefined, deadlineMs, header, message)).message);
    } else {
      const { message: stream } = await transport.stream(
        method as DescMethodStreaming,
        undefined,
        deadlineMs,
        header,
        once(message),
      );
      for await (const answer of stream) answers.push(answer);
    }
    return {
      code: "OK",
      message: answers.map((answer) => toJsonString(method.output, answer, { registry })).join("\n"),
    };
  } catch (thrown) {
    const error = ConnectError.from(thrown);
    const [info] = error.findDetails(ErrorInfoSchema);
    const retry = error.findDetails(RetryInfoSchema).length > 0 ? ["retry"] : [];
    const shape = [...Object.keys(info?.metadata ?? {}).sort(), ...retry].join(",");
    return { code: Code[error.code], reason: info?.reason, message: error.rawMessage, shape };
  }
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}

async function* once<T>(message: T): AsyncGenerator<T> {
  yield message;
}
