import { callerGone } from "./caller-gone.ts";
import type { NodeRequest } from "./rpc-handler.ts";

/**
 * The bytes of a request's body. Throws CANCELED if the caller went away before it had sent all; leaving early neither
 * closes the connection nor keeps the answer from being sent.
 */
export async function* requestBody(request: NodeRequest): AsyncGenerator<Buffer, void, void> {
  // Over HTTP/1.1 a body that is left half read must not be destroyed: the connection would end before the answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) yield chunk as Buffer;
  const isWhole = "stream" in request ? !request.stream.aborted && !request.stream.rstCode : request.complete;
  if (!isWhole) throw callerGone();
}
