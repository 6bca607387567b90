import type { Transport } from "@connectrpc/connect";
import type { WatchedCertificates } from "../tls/watched-certificates.ts";
import { GrpcTransport } from "./grpc-transport.ts";
import { type PeerIdentity, peerTransport } from "./peer-transport.ts";

export interface ServiceTransport extends Transport {
  /** Ends the sessions. */
  close(): void;
}

export interface PeerAddress extends PeerIdentity {
  /** http://HOST:PORT, or https. */
  address: string;
  /** Of calls over https; undefined: the machine's authorities, and no certificate to show. */
  certificates?: WatchedCertificates | undefined;
}

/** Calls to a peer over the network. */
export function createServiceTransport({ address, certificates, ...identity }: PeerAddress): ServiceTransport {
  const grpc = new GrpcTransport(address, certificates);
  return { ...peerTransport(() => grpc, identity), close: () => grpc.close() };
}
