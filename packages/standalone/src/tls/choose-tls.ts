import { StartFailure } from "@attestry/data-dir";
import {
  isLoopback,
  type ListenAddress,
  readCertificates,
  type ServerTls,
  serverTlsOf,
  type TransportConfig,
} from "@attestry/service-kit";
import { prepareCertificates } from "./own-certificates.ts";

export interface TlsChoice {
  /** Serve with TLS, with a certificate of one's own unless the settings name one. */
  tls?: boolean | undefined;
  /** Serve without, though other machines reach it. */
  plaintext?: boolean | undefined;
}

export interface ChosenTls {
  files: ServerTls;
  /** What clients need to trust it; undefined: they know its authority. */
  trustFile: string | undefined;
}

/** Tokens must not cross a network in clear text because nobody thought of it. Throws StartFailure: PLAINTEXT_REFUSED. */
export function expectGuarded(listen: ListenAddress, { tls, plaintext }: TlsChoice, config: TransportConfig): void {
  if (tls || plaintext || isLoopback(listen.host) || serverTlsOf(config) !== undefined) return;
  throw new StartFailure(
    "PLAINTEXT_REFUSED",
    `${listen.host} can be reached from other machines, and without TLS tokens would cross the network in clear text: ` +
      "add --tls, or --plaintext if something in front of it speaks TLS (docs/tls.md)",
  );
}

/** The certificate to serve with: the settings' or, with `tls`, one in `dir`; undefined: none. Throws StartFailure: CERTIFICATE_UNUSABLE. */
export async function chooseTls(
  dir: string,
  { host }: ListenAddress,
  { tls }: TlsChoice,
  config: TransportConfig,
): Promise<ChosenTls | undefined> {
  const named = serverTlsOf(config);
  if (named === undefined && !tls) return undefined;
  try {
    const { trustFile, ...made } = named ? { ...named, trustFile: undefined } : await prepareCertificates(dir, host);
    const files = { ...made, caFile: config.tlsClientCaFile };
    await readCertificates(files);
    return { files, trustFile };
  } catch (cause) {
    throw new StartFailure("CERTIFICATE_UNUSABLE", `cannot serve with TLS: ${(cause as Error).message}`, { cause });
  }
}
