// Health of the service in this container: exits with 0 when it can serve. The images have no curl.
const listen = {
  "workflow-run": process.env.WORKFLOW_RUN_LISTEN,
  "attestation-ingest": process.env.ATTESTATION_INGEST_LISTEN,
  "cas-gateway": process.env.CAS_GATEWAY_LISTEN,
}[process.env.ATTESTRY_SERVICE ?? ""];
const port = listen?.split(":").at(-1);
const response = await fetch(`http://127.0.0.1:${port}/readyz`).catch((error) => error);
if (!response.ok) {
  console.error(response instanceof Error ? response.message : await response.text());
  process.exitCode = 1;
}
