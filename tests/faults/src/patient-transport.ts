import type { Transport } from "@connectrpc/connect";
import { plainTransport } from "./world.ts";

/** Tells the service the deadline and keeps none itself: a call lasts for as long as the service lets it. */
export function patientTransport(baseUrl: string, token: string): Transport {
  const plain = plainTransport(baseUrl, token);
  return {
    unary: (method, signal, timeoutMs, header, input, values) =>
      plain.unary(method, signal, undefined, withDeadline(header, timeoutMs), input, values),
    stream: (method, signal, timeoutMs, header, input, values) =>
      plain.stream(method, signal, undefined, withDeadline(header, timeoutMs), input, values),
  };
}

function withDeadline(header: HeadersInit | undefined, timeoutMs: number | undefined): Headers {
  const headers = new Headers(header);
  if (timeoutMs !== undefined) headers.set("grpc-timeout", `${timeoutMs}m`);
  return headers;
}
