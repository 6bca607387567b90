import net from "node:net";

/** Frame types of RFC 9113, section 6. */
export const frames = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7, continuation: 9 } as const;
export const flags = { ack: 1, endStream: 1, endHeaders: 4 } as const;

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export function frame(type: number, flag: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flag, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** What a client sends first, with its settings: pairs of a number and a value. */
export function greeting(...settings: [number, number][]): Buffer {
  return Buffer.concat([preface, settingsFrame(...settings)]);
}

export function settingsFrame(...settings: [number, number][]): Buffer {
  const payload = Buffer.alloc(6 * settings.length);
  for (const [i, [id, value]] of settings.entries()) {
    payload.writeUInt16BE(id, 6 * i);
    payload.writeUInt32BE(value, 6 * i + 2);
  }
  return frame(frames.settings, 0, 0, payload);
}

/** Headers as literals that are not indexed (RFC 7541, section 6.2.2). */
export function headerBlock(headers: Record<string, string>): Buffer {
  const parts = Object.entries(headers).flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]);
  return Buffer.concat(parts);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
  length.push(rest);
  return Buffer.concat([Buffer.from(length), bytes]);
}

export function callHeaders(path: string, token: string, more: Record<string, string> = {}): Record<string, string> {
  return {
    ...{ ":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost" },
    ...{ "content-type": "application/grpc", te: "trailers", authorization: `Bearer ${token}`, ...more },
  };
}

/** A socket that says what it is told to, and remembers what it hears and how it ended. */
export interface RawSocket {
  readonly socket: net.Socket;
  /** What came, the first so many bytes of it. */
  heard(): Buffer;
  readonly closed: Promise<void>;
  isClosed(): boolean;
  /** Resolves when the bytes are on their way, or the connection has ended. */
  send(bytes: Uint8Array): Promise<void>;
}

const mostHeard = 64 * 1024;

export async function open(port: number, { reads = true } = {}): Promise<RawSocket> {
  const socket = net.connect({ port, host: "127.0.0.1" }).setNoDelay(true);
  let heard = Buffer.alloc(0);
  let isOver = false;
  socket.on("error", () => undefined);
  if (reads)
    socket.on("data", (chunk) => {
      if (heard.length < mostHeard) heard = Buffer.concat([heard, chunk]);
    });
  const closed = new Promise<void>((resolve) => {
    socket.once("close", () => {
      isOver = true;
      resolve();
    });
  });
  await Promise.race([new Promise((resolve) => socket.once("connect", resolve)), closed]);
  return {
    ...{ socket, closed, heard: () => heard, isClosed: () => isOver },
    send: async (bytes) => {
      if (isOver) return;
      if (!socket.write(bytes)) await Promise.race([new Promise((resolve) => socket.once("drain", resolve)), closed]);
    },
  };
}

/** The code of a GOAWAY among what was heard; undefined: there is none. */
export function goawayIn(bytes: Buffer): number | undefined {
  for (let at = 0; at + 9 <= bytes.length; ) {
    const length = bytes.readUIntBE(at, 3);
    if (bytes[at + 3] === frames.goaway && at + 17 <= bytes.length) return bytes.readUInt32BE(at + 13);
    at += 9 + length;
  }
  return undefined;
}

/** Walks the frames that were heard. */
function count(bytes: Buffer, isOne: (type: number, flag: number) => boolean): number {
  let found = 0;
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    if (isOne(bytes[at + 3] ?? 0, bytes[at + 4] ?? 0)) found++;
  }
  return found;
}

/** How many streams were reset. */
export function resets(bytes: Buffer): number {
  return count(bytes, (type) => type === frames.reset);
}

/** Whether headers came. */
export function hasAnswer(bytes: Buffer): boolean {
  return count(bytes, (type) => type === frames.headers) > 0;
}

/** Headers that end the stream. */
export function hasTrailers(bytes: Buffer): boolean {
  return count(bytes, (type, flag) => type === frames.headers && (flag & flags.endStream) !== 0) > 0;
}
