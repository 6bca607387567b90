/**
 * The trailers with `grpc-message` encoded as the protocol says and no further: connect encodes also `:` or `,`, and
 * some clients decode only what gRPC over HTTP/2 names, "Status-Message": all but printable ASCII, and the percent sign.
 */
export function plainStatusMessage(trailer: Headers): Headers {
  const message = trailer.get("grpc-message");
  if (message !== null) {
    trailer.set("grpc-message", decodeURIComponent(message).replace(/[^\x20-\x24\x26-\x7e]+/gu, encodeURIComponent));
  }
  return trailer;
}
