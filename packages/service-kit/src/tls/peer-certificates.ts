import { getCACertificates } from "node:tls";
import { type ChannelCredentials, credentials, experimental } from "@grpc/grpc-js";
import type { Certificates } from "./certificate-files.ts";
import type { WatchedCertificates } from "./watched-certificates.ts";

type Provider = experimental.CertificateProvider;
type CaListener = Parameters<Provider["addCaCertificateListener"]>[0];
type IdentityListener = Parameters<Provider["addIdentityCertificateListener"]>[0];

/**
 * How a client of a peer speaks TLS: new connections trust the authorities and show the certificate that the files hold by
 * then. grpc-js has such a provider of its own, which forgets good certificates when a file cannot be read.
 * @param certificates undefined: the machine's own authorities, and no certificate
 */
export function peerCredentials(certificates: WatchedCertificates | undefined): ChannelCredentials {
  if (certificates === undefined) return credentials.createSsl();
  const provider = providerOf(certificates);
  const identity = certificates.current.cert === undefined ? null : provider;
  return experimental.createCertificateProviderChannelCredentials(provider, identity);
}

function providerOf(certificates: WatchedCertificates): Provider {
  const leave = new Map<CaListener | IdentityListener, () => void>();
  function hear<L extends CaListener | IdentityListener>(listener: L, tell: (now: Certificates) => void): void {
    leave.set(listener, certificates.onChange(tell));
    // Not before the one that listens is ready for it.
    process.nextTick(() => leave.has(listener) && tell(certificates.current));
  }
  function forget(listener: CaListener | IdentityListener): void {
    leave.get(listener)?.();
    leave.delete(listener);
  }
  return {
    addCaCertificateListener: (listener) =>
      hear(listener, ({ ca }) => listener({ caCertificate: ca ?? machineAuthorities() })),
    removeCaCertificateListener: forget,
    addIdentityCertificateListener: (listener) =>
      hear(listener, ({ cert, key }) => cert && key && listener({ certificate: cert, privateKey: key })),
    removeIdentityCertificateListener: forget,
  };
}

function machineAuthorities(): Buffer {
  return Buffer.from(getCACertificates("default").join("\n"));
}
