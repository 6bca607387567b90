import { AuditService } from "@attestry/api/audit";
import { Health } from "@attestry/api/health";
import {
  AttestationService,
  GcService,
  AuditService as IngestAuditService,
  MigrationService,
  UploadService,
} from "@attestry/api/ingest";
import {
  BackendService,
  ContractService,
  CredentialService,
  FederationService,
  OrganizationService,
  ProjectService,
  RunService,
  SigningService,
  TokenService,
  TrustService,
  WorkflowService,
} from "@attestry/api/run";
import { Code, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { reasonOf } from "../errors.ts";
import type { Connections } from "../settings.ts";
import { Session } from "./session.ts";

// One message of the largest answer: an attestation with its bundle goes by Download, in chunks of 1 MiB.
const readMaxBytes = 4 * 1024 * 1024;

/** Clients of the three services. Services at one address share a connection. */
export class Services {
  readonly #sessions = new Map<string, Session>();
  readonly #connections: Connections;

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  get organizations() {
    return createClient(OrganizationService, this.#transport(this.#connections.runAddress));
  }

  get workflows() {
    return createClient(WorkflowService, this.#transport(this.#connections.runAddress));
  }

  get contracts() {
    return createClient(ContractService, this.#transport(this.#connections.runAddress));
  }

  get projects() {
    return createClient(ProjectService, this.#transport(this.#connections.runAddress));
  }

  get runs() {
    return createClient(RunService, this.#transport(this.#connections.runAddress));
  }

  get backends() {
    return createClient(BackendService, this.#transport(this.#connections.runAddress));
  }

  get tokens() {
    return createClient(TokenService, this.#transport(this.#connections.runAddress));
  }

  get federation() {
    return createClient(FederationService, this.#transport(this.#connections.runAddress));
  }

  get credentials() {
    return createClient(CredentialService, this.#transport(this.#connections.runAddress));
  }

  get trust() {
    return createClient(TrustService, this.#transport(this.#connections.runAddress));
  }

  get signing() {
    return createClient(SigningService, this.#transport(this.#connections.runAddress));
  }

  get runAudit() {
    return createClient(AuditService, this.#transport(this.#connections.runAddress));
  }

  get ingestAudit() {
    return createClient(IngestAuditService, this.#transport(this.#connections.address));
  }

  get attestations() {
    return createClient(AttestationService, this.#transport(this.#connections.address));
  }

  get uploads() {
    return createClient(UploadService, this.#transport(this.#connections.address));
  }

  get gc() {
    return createClient(GcService, this.#transport(this.#connections.address));
  }

  get migrations() {
    return createClient(MigrationService, this.#transport(this.#connections.address));
  }

  /** For `@attestry/cas-client`, which brings its own token. */
  get cas(): Transport {
    return this.#transport(this.#connections.casAddress);
  }

  health(address: string) {
    return createClient(Health, this.#transport(address));
  }

  /** Bytes sent to attestation-ingest so far. */
  bytesSentToIngest(): number {
    return this.#session(this.#connections.address).bytesSent();
  }

  close(): void {
    for (const session of this.#sessions.values()) session.close();
  }

  #transport(address: string): Transport {
    const transport = createGrpcTransport({
      baseUrl: address,
      sessionManager: this.#session(address),
      interceptors: [bearer(this.#connections.token)],
      readMaxBytes,
    });
    return namingPeer(transport, address);
  }

  #session(address: string): Session {
    const known = this.#sessions.get(address);
    if (known !== undefined) return known;
    const session = new Session(address, this.#connections.tls);
    this.#sessions.set(address, session);
    return session;
  }
}

/** Adds the token to calls that have none of their own. */
function bearer(token: string | undefined): Interceptor {
  return (next) => (request) => {
    if (token !== undefined && !request.header.has("authorization")) {
      request.header.set("authorization", `Bearer ${token}`);
    }
    return next(request);
  };
}

/**
 * A deadline that passed here, and an answer that is no HTTP/2, say nothing of their own: this makes them say who it was. No
 * interceptor, as those do not see it.
 */
function namingPeer(transport: Transport, address: string): Transport {
  const rename = (typeName: string) => (error: unknown) => {
    if (!(error instanceof ConnectError) || reasonOf(error) !== undefined) throw error;
    const { code, rawMessage, metadata } = error;
    if (code === Code.DeadlineExceeded) {
      const message = `${serviceOf(typeName)} at ${address} did not answer in the time given`;
      throw new ConnectError(message, code, metadata, undefined, error);
    }
    if (rawMessage === "Protocol error") {
      const message = `what answers at ${address} does not speak HTTP/2`;
      throw new ConnectError(message, Code.Unavailable, metadata, undefined, error);
    }
    throw error;
  };
  return {
    unary: (method, ...call) => transport.unary(method, ...call).catch(rename(method.parent.typeName)),
    stream: (method, ...call) => transport.stream(method, ...call).catch(rename(method.parent.typeName)),
  };
}

function serviceOf(typeName: string): string {
  if (/^attestry\.(run|audit)\./.test(typeName)) return "workflow-run";
  if (typeName.startsWith("attestry.ingest.")) return "attestation-ingest";
  return typeName.startsWith("grpc.health.") ? "the server" : "cas-gateway";
}
