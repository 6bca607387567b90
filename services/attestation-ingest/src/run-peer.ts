import {
  CasRole,
  CasSpace,
  CredentialService,
  type CredentialServiceIssueCasTokenRequest_ServiceSchema,
  OrganizationService,
  RunService,
  type RunServiceGetStoragePlanResponse,
  TokenService,
  TrustService,
} from "@attestry/api/run";
import type { Digest, TrustPolicy } from "@attestry/bundle";
import type { RevokedPage } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { durationSeconds } from "./duration-seconds.ts";
import { policyField } from "./policy-message.ts";
import { answerLastsMs, type FreshPolicy } from "./retention/policy.ts";
import type { KeptAttestation } from "./store/attestation.ts";
import type { TrustKey } from "./verification/trust-policies.ts";

const callTimeoutMs = 10_000;
const pageSize = 200;

/**
 * What ingest asks of workflow-run. A call ends after 10 s, or with the request that it is part of; errors are
 * DomainErrors with the peer's reason, PEER_UNAVAILABLE if it is away.
 */
export class RunPeer {
  readonly #runs: Client<typeof RunService>;
  readonly #credentials: Client<typeof CredentialService>;
  readonly #tokens: Client<typeof TokenService>;
  readonly #organizations: Client<typeof OrganizationService>;
  readonly #trust: Client<typeof TrustService>;

  constructor(transport: Transport) {
    this.#runs = createClient(RunService, transport);
    this.#credentials = createClient(CredentialService, transport);
    this.#tokens = createClient(TokenService, transport);
    this.#organizations = createClient(OrganizationService, transport);
    this.#trust = createClient(TrustService, transport);
  }

  /** Where the attestation of a run is to be kept; a read. */
  plan(
    request: { organizationId: string; runId: string; digest: Digest; sizeBytes: number },
    signal: AbortSignal,
  ): Promise<RunServiceGetStoragePlanResponse> {
    return this.#runs.getStoragePlan(
      { ...request, sizeBytes: BigInt(request.sizeBytes) },
      { signal, timeoutMs: callTimeoutMs },
    );
  }

  /** One revision of whom an organization trusts. Throws TRUST_NOT_FOUND. */
  async trustPolicy(key: TrustKey): Promise<TrustPolicy> {
    const { policy } = await this.#trust.get(key, { timeoutMs: callTimeoutMs });
    if (policy === undefined)
      throw new Error(`workflow-run answered without the trust policy of ${key.organizationId}`);
    const { trustedRoots, certificateAuthorities, publicKeys } = policy;
    const { transparencyLogThreshold, timestampThreshold, signers } = policy;
    return {
      material: { trustedRoots, certificateAuthorities, publicKeys },
      ...{ transparencyLogThreshold, timestampThreshold },
      signers: signers.map(({ subject, issuer }) => ({ subject, issuer })),
    };
  }

  /** Makes the run a success. Once asked it is not cancelled: the row is there, and its run is to follow. */
  async complete({ organizationId, runId, digest, planGivenAt, policySummary }: KeptAttestation): Promise<void> {
    await this.#runs.complete(
      { organizationId, runId, digest, planGivenAt: timestampFromDate(planGivenAt), ...policyField(policySummary) },
      { timeoutMs: callTimeoutMs },
    );
  }

  /** A CAS token by which a bundle of at most `maxBytes` is uploaded to one backend. */
  uploadToken({ maxBytes, ...to }: { organizationId: string; backendId: string; maxBytes: number }): Promise<string> {
    return this.#casToken({ ...to, role: CasRole.UPLOADER, maxBytes: BigInt(maxBytes) });
  }

  /** A CAS token by which bundles are deleted from one backend. Throws BACKEND_NOT_FOUND, BACKEND_INLINE. */
  managerToken({ organizationId, backendId }: { organizationId: string; backendId: string }): Promise<string> {
    return this.#casToken({ organizationId, backendId, role: CasRole.MANAGER });
  }

  /** A CAS token by which bundles are read from all of the organization's backends. Throws BACKEND_INLINE if it has none. */
  downloadToken(organizationId: string): Promise<string> {
    return this.#casToken({ organizationId, role: CasRole.DOWNLOADER });
  }

  /** API tokens that were revoked since the cursor. */
  async revoked(cursor: bigint, signal: AbortSignal): Promise<RevokedPage> {
    return this.#tokens.listRevoked({ cursor }, { signal, timeoutMs: callTimeoutMs });
  }

  /** The ids of all organizations. */
  async *organizationIds(signal: AbortSignal): AsyncGenerator<string> {
    let pageToken = "";
    do {
      const page = await this.#organizations.list({ pageSize, pageToken }, { signal, timeoutMs: callTimeoutMs });
      for (const { id } of page.organizations) yield id;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /** How long the organization keeps its attestations now. */
  async retentionPolicy(organizationId: string, signal: AbortSignal): Promise<FreshPolicy> {
    // Before the question: the answer is of some moment after it.
    const useBefore = performance.now() + answerLastsMs;
    const { organization } = await this.#organizations.get(
      { id: organizationId },
      { signal, timeoutMs: callTimeoutMs },
    );
    if (organization === undefined) throw new Error(`workflow-run answered without the organization ${organizationId}`);
    const bounds = organization.attestationRetention;
    return {
      organizationId,
      atLeastSeconds: durationSeconds(bounds?.atLeast),
      atMostSeconds: durationSeconds(bounds?.atMost),
      useBefore,
    };
  }

  async #casToken(
    asked: Omit<MessageInitShape<typeof CredentialServiceIssueCasTokenRequest_ServiceSchema>, "$typeName">,
  ): Promise<string> {
    const { token } = await this.#credentials.issueCasToken(
      { purpose: { case: "service", value: { ...asked, space: CasSpace.BUNDLES } } },
      { timeoutMs: callTimeoutMs },
    );
    return token;
  }
}
