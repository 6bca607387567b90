import { randomInt } from "node:crypto";
import getPort from "get-port";

/**
 * A TCP port of 127.0.0.1 that nobody listens on at present. Of those below what systems give to outgoing connections
 * (Linux from 32,768, others from 49,152): one of these may be taken by the next client before the server has it.
 */
export function freePort(): Promise<number> {
  return getPort({ host: "127.0.0.1", port: Array.from({ length: 100 }, () => randomInt(20_000, 32_768)) });
}
