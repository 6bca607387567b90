import tls from "node:tls";
import type { Registry } from "prom-client";
import type { Logger } from "../observe/logger.ts";
import { type CertificateFiles, type Certificates, modernTls } from "./certificate-files.ts";
import { createCertificateTelemetry } from "./telemetry.ts";
import { WatchedCertificates } from "./watched-certificates.ts";

export interface ServerTls extends CertificateFiles {
  certFile: string;
  keyFile: string;
  /** Authorities of clients; with it, every client must show a certificate of theirs. */
  caFile?: string | undefined;
}

export interface SecureServerOptions {
  files: ServerTls;
  /** How long a client may take to come to terms, in milliseconds. */
  handshakeMs: number;
  logger: Logger;
  metrics: Registry;
}

export interface SecureServer {
  /** Is given sockets by `emit("connection")`, and gives them back as `secureConnection`. */
  readonly server: tls.Server;
  destroy(): Promise<void>;
}

/**
 * The TLS end of a port, for HTTP/2 and HTTP/1.1. New connections get the certificates that the files hold by then; those that
 * are open go on. Throws what readCertificates throws.
 */
export async function createSecureServer({
  files,
  handshakeMs,
  logger,
  metrics,
}: SecureServerOptions): Promise<SecureServer> {
  const certificates = await WatchedCertificates.open({ files, use: "server", logger, metrics });
  const asksForCertificate = files.caFile !== undefined;
  const server = tls.createServer({
    ...contextOf(certificates.current),
    ALPNProtocols: ["h2", "http/1.1"],
    requestCert: asksForCertificate,
    rejectUnauthorized: asksForCertificate,
    handshakeTimeout: handshakeMs,
  });
  certificates.onChange((changed) => server.setSecureContext(contextOf(changed)));
  const telemetry = createCertificateTelemetry(metrics);
  server.on("tlsClientError", (error, socket) => {
    telemetry.handshakeFailed();
    logger.debug({ err: error }, "TLS handshake failed");
    socket.destroy();
  });
  return { server, destroy: () => certificates.destroy() };
}

function contextOf({ cert, key, ca }: Certificates): tls.SecureContextOptions {
  return { ...modernTls, honorCipherOrder: true, ...(cert && { cert }), ...(key && { key }), ...(ca && { ca }) };
}
