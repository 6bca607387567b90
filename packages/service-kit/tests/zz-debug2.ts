import http from "node:http";
import net from "node:net";
import { WorkflowService } from "@attestry/api/run";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
// minimal: answers 401 at once on headers
const mode = process.argv[2];
const body = JSON.stringify({ code: "unauthenticated", message: "no" });
const server = http.createServer((req, res) => {
  console.log("S request", req.headers["transfer-encoding"], req.headers["content-length"]);
  req.on("close", () => console.log("S req close", req.readableEnded, req.complete));
  res.on("finish", () => console.log("S res finish"));
  req.socket.on("close", () => console.log("S socket close"));
  if (mode === "resume") res.once("finish", () => req.resume());
  if (mode === "close") res.setHeader("connection", "close");
  const answer = () => { res.writeHead(401, { "content-type": "application/json", "content-length": body.length }); res.end(body); };
  if (mode === "read") { req.resume(); req.on("end", answer); } else answer();
});
await new Promise<void>((r) => server.listen(0, r));
const t = createConnectTransport({ baseUrl: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`, httpVersion: "1.1" });
const c = createClient(WorkflowService, t);
const r = await Promise.race([c.get({ name: "w".repeat(2 << 20) }, {}).then(() => "ok", (e) => String(e)), new Promise((r) => setTimeout(() => r("HANG"), 3000))]);
console.log(mode, r);
process.exit();
