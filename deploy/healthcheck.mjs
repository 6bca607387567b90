// Health of the service in this container: exits with 0 when it can serve. The images have no curl.
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";

const { env } = process;
const listen = {
  "workflow-run": env.WORKFLOW_RUN_LISTEN,
  "attestation-ingest": env.ATTESTATION_INGEST_LISTEN,
  "cas-gateway": env.CAS_GATEWAY_LISTEN,
}[env.ATTESTRY_SERVICE ?? ""];
const port = listen?.split(":").at(-1);
const isSecure = Boolean(env.ATTESTRY_TLS_CERT_FILE);
const options = {
  host: "127.0.0.1",
  port,
  path: "/readyz",
  timeout: 2_500,
  // It asks itself, and its certificate is good for the name that others know; nothing secret is sent.
  ...(isSecure && { rejectUnauthorized: false }),
  // For a service that wants a certificate of every client.
  ...(env.ATTESTRY_PEER_CERT_FILE && {
    cert: readFileSync(env.ATTESTRY_PEER_CERT_FILE),
    key: readFileSync(env.ATTESTRY_PEER_KEY_FILE),
  }),
};

const request = (isSecure ? https : http).get(options, (response) => {
  let body = "";
  response.setEncoding("utf8").on("data", (text) => {
    body += text;
  });
  response.on("end", () => {
    if (response.statusCode !== 200) fail(body);
  });
});
request.on("timeout", () => request.destroy(new Error("no answer in 2.5 s")));
request.on("error", (error) => fail(error.message));

function fail(line) {
  console.error(line);
  process.exitCode = 1;
}
