import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "@jest/globals";
import { startTcpBalancer, startTcpProxy, type TcpProxy } from "../src/index.ts";

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A server that sends back what it gets, and a connection to it through a proxy. */
async function echoed() {
  const accepted: net.Socket[] = [];
  const server = net.createServer((socket) => {
    accepted.push(socket);
    socket.on("error", () => undefined).pipe(socket);
  });
  const proxy = await startTcpProxy(await listening(server));
  closers.push(() => proxy.close());
  return { proxy, accepted, client: await connected(proxy) };
}

async function connected({ port }: TcpProxy): Promise<net.Socket> {
  const client = net.connect(port, "127.0.0.1").on("error", () => undefined);
  closers.push(() => client.destroy());
  await once(client, "connect");
  return client;
}

async function listening(server: net.Server): Promise<number> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  closers.push(() => new Promise((resolve) => server.close(resolve)));
  return (server.address() as net.AddressInfo).port;
}

/** However it ends. */
function closed(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

/** The first so many bytes that come. */
async function received(client: net.Socket, bytes: number): Promise<string> {
  let text = "";
  client.on("data", (piece) => {
    text += piece.toString();
  });
  while (text.length < bytes) await once(client, "data");
  return text;
}

test("a long line adds its latency once, however many pieces are on it", async () => {
  const { proxy, client } = await echoed();
  proxy.up = { latencyMs: 300 };
  const began = performance.now();
  const all = received(client, 5);
  for (const piece of "abcde") {
    client.write(piece);
    await sleep(20);
  }
  expect(await all).toBe("abcde");
  expect(performance.now() - began).toBeGreaterThan(350);
  expect(performance.now() - began).toBeLessThan(900);
});

test("a cut lets through what came before it", async () => {
  const { proxy, client } = await echoed();
  proxy.down = { cutAfter: 3 };
  const all = received(client, 3);
  client.write("abcde");
  expect(await all).toBe("abc");
  await closed(client);
});

test.each([
  ["client", "target"],
  ["target", "client"],
] as const)("the %s is gone, and the %s is not told until the proxy is asked again", async (gone, left) => {
  const { proxy, accepted, client } = await echoed();
  client.write("a");
  await received(client, 1);
  const ends = { client, target: accepted[0] as net.Socket };
  const gonesEnd = closed(ends[gone]);
  proxy.forget(gone);
  await gonesEnd;
  ends[left].write("lost");
  await sleep(100);
  expect(ends[left].destroyed).toBe(false);
  const told = closed(ends[left]);
  proxy.dropForgotten();
  await told;
});

test("only the chosen connections are dropped, and one that is not taken is reset", async () => {
  const { proxy, client } = await echoed();
  const other = await connected(proxy);
  await sleep(50);
  const choices = [false, true];
  const dropped = closed(other);
  proxy.dropAll(() => choices.shift() ?? false);
  await dropped;
  expect(client.destroyed).toBe(false);
  proxy.takes = () => false;
  await closed(net.connect(proxy.port, "127.0.0.1").on("error", () => undefined));
});

test("a balancer sends new connections to those that are ready, in turn", async () => {
  const ready = [true, true];
  const ports = await Promise.all(
    ready.map((_, index) =>
      listening(
        http.createServer(({ url }, response) => {
          response.statusCode = url === "/readyz" && !ready[index] ? 503 : 200;
          response.setHeader("connection", "close").end(String(index));
        }),
      ),
    ),
  );
  const balancer = await startTcpBalancer(ports);
  closers.push(() => balancer.close());
  const ask = async () => (await fetch(`http://127.0.0.1:${balancer.port}/`)).text();
  await sleep(300);
  expect([await ask(), await ask()].sort()).toEqual(["0", "1"]);
  ready[0] = false;
  await sleep(500);
  expect([await ask(), await ask()]).toEqual(["1", "1"]);
});
