import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, sign, webcrypto } from "node:crypto";
import "reflect-metadata";
import { Role, TokenService } from "@attestry/api/run";
import type { Constellation } from "@attestry/dev-env/constellation";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Pkcs10CertificateRequestGenerator } from "@peculiar/x509";
import { services } from "../src/control-plane/access.ts";
import { AttestationService } from "../src/gen/controlplane/v1/attestation_pb.ts";
import { AttestationStateService } from "../src/gen/controlplane/v1/attestation_state_pb.ts";
import { CASBackendService } from "../src/gen/controlplane/v1/cas_backend_pb.ts";
import { CASCredentialsService } from "../src/gen/controlplane/v1/cas_credentials_pb.ts";
import { ContextService } from "../src/gen/controlplane/v1/context_pb.ts";
import { ReferrerService } from "../src/gen/controlplane/v1/referrer_pb.ts";
import { SigningService } from "../src/gen/controlplane/v1/signing_pb.ts";
import { StatusService } from "../src/gen/controlplane/v1/status_pb.ts";
import { WorkflowContractService } from "../src/gen/controlplane/v1/workflow_contract_pb.ts";
import { WorkflowService } from "../src/gen/controlplane/v1/workflow_pb.ts";
import { WorkflowRunService } from "../src/gen/controlplane/v1/workflow_run_pb.ts";

// What the command line does between its calls, as far as tests need it.

/** The calls of the command line, with a token. */
export function commandLine(url: string, token: string) {
  const transport = createGrpcTransport({
    baseUrl: url,
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
  const at = <S extends DescService>(service: S): Client<S> => createClient(service, transport);
  return {
    attestations: at(AttestationService),
    states: at(AttestationStateService),
    backends: at(CASBackendService),
    cas: at(CASCredentialsService),
    context: at(ContextService),
    referrers: at(ReferrerService),
    signing: at(SigningService),
    status: at(StatusService),
    contracts: at(WorkflowContractService),
    workflows: at(WorkflowService),
    runs: at(WorkflowRunService),
  };
}

export type CommandLine = ReturnType<typeof commandLine>;

/** All that the command line may call here. */
export const served = services;

/** A token as `attestry token create --chainloop` makes them. */
export async function chainloopToken({ runUrl, adminToken }: Constellation, role: Role = Role.CI): Promise<string> {
  const tokens = createClient(TokenService, createGrpcTransport({ baseUrl: runUrl }));
  const { secret } = await tokens.create(
    { name: `chainloop-${createHash("sha1").update(String(Math.random())).digest("hex")}`, role, forChainloop: true },
    { headers: { authorization: `Bearer ${adminToken}` } },
  );
  return secret;
}

/** `attestation init`; returns the id of the run. */
export async function initialize(cli: CommandLine, workflowName = "build", projectName = "demo"): Promise<string> {
  await cli.attestations.findOrCreateWorkflow({ workflowName, projectName });
  await cli.attestations.getContract({ workflowName, projectName });
  const { result } = await cli.attestations.init({ workflowName, projectName });
  return result?.workflowRun?.id ?? "";
}

/** A key of the command line's own, and the certificates that it got for it. */
export async function keylessSigner(cli: CommandLine): Promise<{ key: KeyObject; certificates: string[] }> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: "CN=ephemeral certificate",
    keys,
    signingAlgorithm: algorithm,
  });
  const { chain } = await cli.signing.generateSigningCert({
    certificateSigningRequest: Buffer.from(request.toString("pem")),
  });
  const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey as webcrypto.CryptoKey);
  const key = createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" });
  return { key, certificates: chain?.certificates ?? [] };
}

export interface Statement {
  predicate?: unknown;
  predicateType?: string;
  subject?: unknown[];
}

/** A bundle as `attestation push` makes it; without a signer one with a key that nobody knows. */
export function bundleOf(statement: Statement, signer?: { key: KeyObject; certificates: string[] }): Buffer {
  const payload = Buffer.from(
    JSON.stringify({
      _type: "https://in-toto.io/Statement/v1",
      subject: [{ name: "chainloop.workflow.build", digest: { sha256: randomHex() } }],
      predicateType: "chainloop.dev/attestation/v0.2",
      predicate: {},
      ...statement,
    }),
  );
  const payloadType = "application/vnd.in-toto+json";
  const header = `DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `;
  const key = signer?.key ?? generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const sig = sign("sha256", Buffer.concat([Buffer.from(header), payload]), key).toString("base64");
  const rawBytes = signer?.certificates[0]?.replace(/-----[A-Z ]+-----|\n/g, "");
  return Buffer.from(
    JSON.stringify({
      mediaType: "application/vnd.dev.sigstore.bundle+json;version=0.3",
      verificationMaterial: rawBytes === undefined ? { publicKey: { hint: "" } } : { certificate: { rawBytes } },
      dsseEnvelope: { payload: payload.toString("base64"), payloadType, signatures: [{ sig }] },
    }),
  );
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function randomHex(): string {
  return sha256(Buffer.from(`${Math.random()} ${performance.now()}`));
}

/** A file among the materials, as the command line lists one that it has uploaded. */
export function material(name: string, hex: string, type = "ARTIFACT"): object {
  return {
    annotations: {
      "chainloop.material.cas": true,
      "chainloop.material.name": name,
      "chainloop.material.size": "5",
      "chainloop.material.type": type,
    },
    digest: { sha256: hex },
    name: `${name}.txt`,
  };
}
