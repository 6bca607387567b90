import { SettingError, setting, type Values } from "../setting.ts";
import type { CertificateFiles } from "../tls/certificate-files.ts";
import type { ServerTls } from "../tls/secure-server.ts";

/** How a service meets its callers and its peers: TLS, and what a connection may do. */
export const transportSettings = {
  tlsCertFile: setting.optionalText({
    env: "ATTESTRY_TLS_CERT_FILE",
    doc: "PEM file of the certificate to serve with, its intermediates after it; taken up anew when it changes; unset: no TLS",
  }),
  tlsKeyFile: setting.optionalText({
    env: "ATTESTRY_TLS_KEY_FILE",
    doc: "PEM file of that certificate's private key",
  }),
  tlsClientCaFile: setting.optionalText({
    env: "ATTESTRY_TLS_CLIENT_CA_FILE",
    doc: "PEM file of authorities; set, every client must show a certificate of theirs (mTLS)",
  }),
  peerCaFile: setting.optionalText({
    env: "ATTESTRY_PEER_CA_FILE",
    doc: "PEM file of the authorities of other services' certificates, for peers at https://; unset: those of the machine",
  }),
  peerCertFile: setting.optionalText({
    env: "ATTESTRY_PEER_CERT_FILE",
    doc: "PEM file of the certificate that is shown to other services (mTLS); unset: none",
  }),
  peerKeyFile: setting.optionalText({
    env: "ATTESTRY_PEER_KEY_FILE",
    doc: "PEM file of that certificate's private key",
  }),
  maxConnections: setting.integer({
    env: "HTTP_MAX_CONNECTIONS",
    default: 10_000,
    min: 1,
    doc: "Connections that a process has open at a time; more are ended at once",
  }),
  maxStreams: setting.integer({
    env: "HTTP_MAX_STREAMS",
    default: 1_000,
    min: 1,
    max: 2 ** 31 - 1,
    doc: "Calls that one HTTP/2 connection may have open at a time",
  }),
  maxHeaderBytes: setting.integer({
    env: "HTTP_MAX_HEADER_BYTES",
    default: 32 * 1024,
    min: 1_024,
    max: 1024 * 1024,
    doc: "Headers of one call, in bytes",
  }),
  maxMessageBytes: setting.integer({
    env: "HTTP_MAX_MESSAGE_BYTES",
    default: 4 * 1024 * 1024,
    min: 64 * 1024,
    max: 64 * 1024 * 1024,
    doc: "One request message, unpacked, in bytes; methods that say another bound have that",
  }),
  inFlightBytes: setting.integer({
    env: "HTTP_MAX_BODY_BYTES",
    default: 256 * 1024 * 1024,
    min: 1024 * 1024,
    doc: "What the bodies of the calls under way may hold together, in bytes; a call alone may have more",
  }),
  callIdleMs: setting.milliseconds({
    env: "HTTP_CALL_IDLE",
    default: 60_000,
    doc: "How long a caller may say nothing in the middle of its one message, or take nothing of an answer to a call; it may become half as much again",
  }),
  leastBytesPerSecond: setting.integer({
    env: "HTTP_LEAST_RATE",
    default: 1_024,
    min: 1,
    doc: "Bytes a second that a caller has to send of its one message or of a blob, once it was waited for as long as it may say nothing",
  }),
  firstBytesMs: setting.milliseconds({
    env: "HTTP_FIRST_BYTES_TIMEOUT",
    default: 5_000,
    doc: "How long a new connection may say nothing",
  }),
  handshakeMs: setting.milliseconds({
    env: "HTTP_HANDSHAKE_TIMEOUT",
    default: 10_000,
    doc: "How long a client may take for its TLS handshake",
  }),
  headersTimeoutMs: setting.milliseconds({
    env: "HTTP_HEADERS_TIMEOUT",
    default: 10_000,
    doc: "How long a caller over HTTP/1.1 may take for its headers; it may become half as much again",
  }),
  idleConnectionMs: setting.milliseconds({
    env: "HTTP_IDLE_TIMEOUT",
    default: 5 * 60_000,
    doc: "How long an HTTP/2 connection may have no call open before it is ended (GOAWAY); one over HTTP/1.1 has 30 s",
  }),
  resetBurst: setting.integer({
    env: "HTTP_RESET_BURST",
    default: 1_000,
    min: 1,
    doc: "Calls that a client may cancel by a reset on one HTTP/2 connection at once before the connection is ended",
  }),
  resetsPerSecond: setting.integer({
    env: "HTTP_RESETS_PER_SECOND",
    default: 33,
    min: 1,
    doc: "How many of those come back in a second",
  }),
  pingBurst: setting.integer({
    env: "HTTP_PING_BURST",
    // gRPC clients ping once for each round trip while they measure their line.
    default: 10_000,
    min: 1,
    doc: "PING and SETTINGS frames that a client may send on one HTTP/2 connection at once before the connection is ended",
  }),
  pingsPerSecond: setting.integer({
    env: "HTTP_PINGS_PER_SECOND",
    default: 2_000,
    min: 1,
    doc: "How many of those come back in a second",
  }),
  ratePerToken: setting.integer({
    env: "RATE_LIMIT_TOKEN",
    default: 5_000,
    doc: "Calls a second with one API token; 0: any number",
  }),
  ratePerOrganization: setting.integer({
    env: "RATE_LIMIT_ORGANIZATION",
    default: 10_000,
    doc: "Calls a second of one organization; 0: any number",
  }),
  rateOfFailures: setting.integer({
    env: "RATE_LIMIT_FAILURES",
    default: 500,
    doc: "Tokens a second from one address (of IPv6, one /64) that are looked at and refused; beyond, tokens that were not seen before are not looked at; 0: any number",
  }),
  redisUrl: setting.optionalText({
    env: "REDIS_URL",
    doc: "Redis, redis://HOST:PORT/NUMBER: replicas of a service count requests together in it, and attestation-ingest keeps bundles; unset: none",
    secret: true,
  }),
};

export type TransportConfig = Values<typeof transportSettings>;

/** The files to serve with; undefined: no TLS. Throws SettingError for half a pair. */
export function serverTlsOf(config: TransportConfig): ServerTls | undefined {
  const { tlsCertFile: certFile, tlsKeyFile: keyFile, tlsClientCaFile: caFile } = config;
  checkPair(certFile, keyFile, "ATTESTRY_TLS_CERT_FILE", "ATTESTRY_TLS_KEY_FILE");
  if (certFile === undefined || keyFile === undefined) {
    if (caFile === undefined) return undefined;
    throw new SettingError(
      "ATTESTRY_TLS_CLIENT_CA_FILE needs ATTESTRY_TLS_CERT_FILE: without TLS nobody shows a certificate",
    );
  }
  return { certFile, keyFile, caFile };
}

/** The files to call peers with; undefined: none is set. Throws SettingError for half a pair. */
export function peerTlsOf(config: TransportConfig): CertificateFiles | undefined {
  const { peerCertFile: certFile, peerKeyFile: keyFile, peerCaFile: caFile } = config;
  checkPair(certFile, keyFile, "ATTESTRY_PEER_CERT_FILE", "ATTESTRY_PEER_KEY_FILE");
  return certFile === undefined && caFile === undefined ? undefined : { certFile, keyFile, caFile };
}

function checkPair(cert: string | undefined, key: string | undefined, certVariable: string, keyVariable: string): void {
  if ((cert === undefined) === (key === undefined)) return;
  throw new SettingError(
    `${certVariable} and ${keyVariable} go together; only ${cert === undefined ? keyVariable : certVariable} is set`,
  );
}
