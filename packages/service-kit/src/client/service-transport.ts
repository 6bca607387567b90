import type { Transport } from "@connectrpc/connect";
import { GrpcTransport } from "./grpc-transport.ts";
import { type PeerIdentity, peerTransport } from "./peer-transport.ts";

export interface ServiceTransport extends Transport {
  /** Ends the sessions. */
  close(): void;
}

/** Calls to a peer over the network. */
export function createServiceTransport({ address, ...identity }: PeerIdentity & { address: string }): ServiceTransport {
  const grpc = new GrpcTransport(address);
  return { ...peerTransport(() => grpc, identity), close: () => grpc.close() };
}
