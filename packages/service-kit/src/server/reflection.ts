import { file_google_rpc_error_details } from "@attestry/api/errors";
import { Health } from "@attestry/api/health";
import { ServerReflection, type ServerReflectionRequest, ServerReflectionV1Alpha } from "@attestry/api/reflection";
import { type DescFile, type DescMessage, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectRouter, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { DomainError } from "../errors/domain-error.ts";
import { OpenStreams } from "./open-streams.ts";

/** Streams of a process: anyone may open one, and each may hold an answer that its caller does not take. */
const maxStreams = 100;
/** Of one stream. */
const maxRequests = 100;

/** Server reflection, v1 and v1alpha: what grpcurl and its like ask a server for. */
export function registerReflection(router: ConnectRouter, modules: readonly DescService[]): void {
  const services = [...modules, Health, ServerReflection, ServerReflectionV1Alpha];
  const files = new Map<string, DescFile>();
  for (const service of services) collect(service.file, files);
  // So that a client can show the details of errors.
  collect(file_google_rpc_error_details, files);
  const symbols = new Map<string, DescFile>();
  for (const file of files.values()) {
    for (const symbol of symbolsOf(file)) symbols.set(symbol, file);
  }

  function answer(request: ServerReflectionRequest) {
    const { case: kind, value } = request.messageRequest;
    switch (kind) {
      case "listServices":
        return {
          case: "listServicesResponse" as const,
          value: { service: services.map(({ typeName }) => ({ name: typeName })) },
        };
      case "fileByFilename":
        return descriptors(files.get(value.replace(/\.proto$/, "")), `file ${value}`);
      case "fileContainingSymbol":
        return descriptors(symbols.get(value), `symbol ${value}`);
      default:
        return failure(Code.NotFound, "no extensions are used here");
    }
  }

  const streams = new OpenStreams(maxStreams, "streams of reflection");
  async function* answers(requests: AsyncIterable<ServerReflectionRequest>, context: HandlerContext) {
    const leave = streams.enter(context);
    try {
      let count = 0;
      for await (const request of requests) {
        if (++count > maxRequests)
          throw new DomainError("RATE_LIMITED", `a stream of reflection may ask ${maxRequests} times; open another`, {
            metadata: { limit: "reflection", expected: `at most ${maxRequests} requests` },
          });
        yield { validHost: request.host, originalRequest: request, messageResponse: answer(request) };
      }
    } finally {
      leave();
    }
  }
  const implementation: ServiceImpl<typeof ServerReflection> = { serverReflectionInfo: answers };
  router.service(ServerReflection, implementation);
  // The two versions have the same messages under two names.
  router.service(ServerReflectionV1Alpha, implementation as unknown as ServiceImpl<typeof ServerReflectionV1Alpha>);
}

function descriptors(file: DescFile | undefined, what: string) {
  if (file === undefined) return failure(Code.NotFound, `no ${what}`);
  const needed = new Map<string, DescFile>();
  collect(file, needed);
  const fileDescriptorProto = [...needed.values()].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
  return { case: "fileDescriptorResponse" as const, value: { fileDescriptorProto } };
}

function failure(errorCode: Code, errorMessage: string) {
  return { case: "errorResponse" as const, value: { errorCode, errorMessage } };
}

function collect(file: DescFile, into: Map<string, DescFile>): void {
  if (into.has(file.name)) return;
  into.set(file.name, file);
  for (const dependency of file.dependencies) collect(dependency, into);
}

function symbolsOf(file: DescFile): string[] {
  return [
    ...file.services.flatMap((service) => [
      service.typeName,
      ...service.methods.map(({ name }) => `${service.typeName}.${name}`),
    ]),
    ...file.enums.map(({ typeName }) => typeName),
    ...file.extensions.map(({ typeName }) => typeName),
    ...file.messages.flatMap(symbolsOfMessage),
  ];
}

function symbolsOfMessage(message: DescMessage): string[] {
  return [
    message.typeName,
    ...message.fields.map(({ name }) => `${message.typeName}.${name}`),
    ...message.nestedEnums.map(({ typeName }) => typeName),
    ...message.nestedExtensions.map(({ typeName }) => typeName),
    ...message.nestedMessages.flatMap(symbolsOfMessage),
  ];
}
