import type { Registry } from "prom-client";
import type { Keyring } from "../auth/keyring.ts";
import type { ServiceName } from "../auth/principal.ts";
import type { Logger } from "../observe/logger.ts";
import { peerTlsOf, type TransportConfig } from "../server/settings.ts";
import { WatchedCertificates } from "../tls/watched-certificates.ts";
import { createServiceTransport, type ServiceTransport } from "./service-transport.ts";

/** The other services as a service process calls them: with one set of certificates, which follow their files. */
export class Peers {
  readonly #keyring: Keyring;
  readonly #certificates: WatchedCertificates | undefined;
  readonly #transports: ServiceTransport[] = [];

  private constructor(keyring: Keyring, certificates: WatchedCertificates | undefined) {
    this.#keyring = keyring;
    this.#certificates = certificates;
  }

  /** Throws SettingError, and what readCertificates throws. */
  static async open(
    config: TransportConfig,
    { keyring, logger, metrics }: { keyring: Keyring; logger: Logger; metrics: Registry },
  ): Promise<Peers> {
    const files = peerTlsOf(config);
    return new Peers(keyring, files && (await WatchedCertificates.open({ files, use: "peers", logger, metrics })));
  }

  /** @param address http://HOST:PORT, or https */
  at(address: string, to: ServiceName): ServiceTransport {
    const transport = createServiceTransport({
      ...{ address, to, keyring: this.#keyring },
      certificates: this.#certificates,
    });
    this.#transports.push(transport);
    return transport;
  }

  async close(): Promise<void> {
    for (const transport of this.#transports) transport.close();
    await this.#certificates?.destroy();
  }
}
