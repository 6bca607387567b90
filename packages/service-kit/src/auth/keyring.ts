import { readFile } from "node:fs/promises";
import { type CryptoKey, errors, importJWK, type JWK, jwtVerify, SignJWT } from "jose";
import { DomainError } from "../errors/domain-error.ts";
import { newKey } from "./key-files.ts";
import { type ClockReport, PeerClocks } from "./peer-clocks.ts";
import type { ApiPrincipal, CasPrincipal, Principal, ServiceName } from "./principal.ts";
import { checkedPayload, type TokenPayload } from "./token-payload.ts";

// Audiences. One token is good for one purpose, so that none can be passed on as another kind.
const apiAudience = "attestry/api";
/** What the chainloop command line looks for in the API token that it is given. */
const chainloopAudience = "api-token-auth.chainloop";
const casAudience = "attestry/cas";
const serviceAudience = (service: ServiceName): string => `attestry/service/${service}`;
const timeAudience = (service: ServiceName): string => `attestry/time/${service}`;

const casTokenSeconds = 5 * 60;
const serviceTokenSeconds = 60;
/** Clocks of two hosts may differ by this much. */
const leewaySeconds = 30;

export interface VerifiedToken {
  principal: Principal;
  /** Milliseconds since the epoch; Infinity: never. */
  expiresAt: number;
}

export interface ApiTokenClaims extends Omit<ApiPrincipal, "kind"> {
  /** Absent: the token does not run out. */
  expiresAt?: Date | undefined;
  /** In the shape that the chainloop command line reads: another audience, of the same worth. */
  forChainloop?: boolean;
}

interface SigningKey {
  key: CryptoKey;
  kid: string;
  service: ServiceName;
}

/** Signs with this service's key and verifies what the others signed: JWTs with EdDSA over Ed25519 (RFC 8037). */
export class Keyring {
  readonly service: ServiceName;
  readonly #signing: SigningKey;
  readonly #verifying: ReadonlyMap<string, CryptoKey>;
  /** By which workflow-run's tokens are verified: the key it signs with, and former ones that are still trusted. */
  readonly tokenKeys: readonly JWK[];
  readonly #serviceTokens = new Map<ServiceName, { token: Promise<string>; renewAt: number }>();
  readonly #clocks: PeerClocks;

  private constructor(
    signing: SigningKey,
    verifying: ReadonlyMap<string, CryptoKey>,
    tokenKeys: readonly JWK[],
    clockReport: ClockReport,
  ) {
    this.service = signing.service;
    this.#signing = signing;
    this.#verifying = verifying;
    this.tokenKeys = tokenKeys;
    this.#clocks = new PeerClocks(clockReport);
  }

  /** Reads the private key of this service and the public keys of all. */
  static async load(
    files: { signingKeyFile: string; jwksFile: string },
    clockReport: ClockReport = ignore,
  ): Promise<Keyring> {
    const signing = await readJson<JWK>(files.signingKeyFile, "the signing key");
    const { keys } = await readJson<{ keys: JWK[] }>(files.jwksFile, "the JWK set");
    return Keyring.of(signing, keys, clockReport);
  }

  /** Keyrings that trust each other, made on the spot: for tests. */
  static async generate(): Promise<Record<ServiceName, Keyring>> {
    const keys = await Promise.all((["workflow-run", "attestation-ingest", "cas-gateway"] as const).map(newKey));
    const [run, ingest, gateway] = await Promise.all(keys.map((key) => Keyring.of(key, keys)));
    if (!run || !ingest || !gateway) throw new Error("three keys make three keyrings");
    return { "workflow-run": run, "attestation-ingest": ingest, "cas-gateway": gateway };
  }

  static async of(signing: JWK, keys: readonly JWK[], clockReport: ClockReport = ignore): Promise<Keyring> {
    const verifying = new Map<string, CryptoKey>();
    for (const { d: _private, ...jwk } of keys) {
      if (jwk.kid !== undefined) verifying.set(jwk.kid, (await importJWK(jwk, "EdDSA")) as CryptoKey);
    }
    const kid = signing.kid ?? "";
    const tokenKeys = keys
      .filter((key) => key.kid?.startsWith("workflow-run.") === true)
      .map(({ d: _private, ...jwk }) => jwk);
    return new Keyring(
      { key: (await importJWK(signing, "EdDSA")) as CryptoKey, kid, service: serviceOf(kid) },
      verifying,
      tokenKeys,
      clockReport,
    );
  }

  /** A token for a client, to be shown once. Only workflow-run's are accepted. */
  issueApiToken(claims: ApiTokenClaims): Promise<string> {
    const jwt = this.#jwt({
      org_id: claims.organizationId,
      org: claims.organization,
      role: claims.role,
      instance_admin: claims.instanceAdmin,
    })
      .setJti(claims.tokenId)
      .setAudience(claims.forChainloop === true ? chainloopAudience : apiAudience);
    if (claims.expiresAt !== undefined) jwt.setExpirationTime(claims.expiresAt);
    return jwt.sign(this.#signing.key);
  }

  /** A token for the CAS gateway that lives 5 min. Only workflow-run's are accepted. */
  async issueCasToken(claims: Omit<CasPrincipal, "kind">): Promise<{ token: string; expiresAt: Date }> {
    const expiresAt = new Date(Date.now() + casTokenSeconds * 1000);
    const { organizationId, organization, ...rest } = claims;
    const token = await this.#jwt({ org_id: organizationId, org: organization, cas: rest })
      .setAudience(casAudience)
      .setExpirationTime(expiresAt)
      .sign(this.#signing.key);
    return { token, expiresAt };
  }

  /** A token with which this service calls another; lives 60 s by the other's clock, and is used again for half of them. */
  serviceToken(to: ServiceName): Promise<string> {
    const known = this.#serviceTokens.get(to);
    if (known !== undefined && known.renewAt > performance.now()) return known.token;
    const now = Math.floor(this.#clocks.now(to) / 1000);
    const token = this.#jwt({}, now)
      .setAudience(serviceAudience(to))
      .setExpirationTime(now + serviceTokenSeconds)
      .sign(this.#signing.key);
    this.#serviceTokens.set(to, { token, renewAt: performance.now() + serviceTokenSeconds * 500 });
    return token;
  }

  /**
   * Takes the time from a peer that refused a service token as run out: `signed_time` of TOKEN_EXPIRED. True: the next
   * token goes by it. Signed by the peer, for this service alone: who listens between the two could otherwise have
   * tokens made that live for long. An old one that is sent again makes only tokens that ran out long ago.
   */
  async learnTime(peer: ServiceName, signedTime: string): Promise<boolean> {
    const read = await jwtVerify(signedTime, (header) => this.#keyOf(header.kid), {
      algorithms: ["EdDSA"],
      issuer: peer,
      audience: timeAudience(this.service),
    }).catch(() => undefined);
    const isPeers = read !== undefined && serviceOf(read.protectedHeader.kid ?? "") === peer;
    if (!isPeers || !this.#clocks.learn(peer, (read.payload.iat ?? Number.NaN) * 1000)) return false;
    this.#serviceTokens.delete(peer);
    return true;
  }

  /**
   * Who the bearer of a token is. Throws TOKEN_MALFORMED, TOKEN_SIGNATURE_INVALID, TOKEN_EXPIRED or
   * TOKEN_AUDIENCE_WRONG. Whether it was revoked is not looked at here.
   */
  async verify(token: string): Promise<VerifiedToken> {
    const { payload: claims, protectedHeader } = await jwtVerify(token, (header) => this.#keyOf(header.kid), {
      algorithms: ["EdDSA"],
      clockTolerance: leewaySeconds,
    }).catch(async (error: unknown) => {
      throw isServiceTokenExpired(error, this.service) ? await this.#expiredHere(error) : tokenFault(error);
    });
    const payload = checkedPayload(claims);
    const issuer = serviceOf(protectedHeader.kid ?? "");
    if (payload.iss !== issuer)
      throw new DomainError(
        "TOKEN_SIGNATURE_INVALID",
        `the token says it is by ${payload.iss}, its key is of ${issuer}`,
      );
    return { principal: principalOf(payload, issuer, this.service), expiresAt: expiryOf(payload) };
  }

  /** A service makes its tokens as it calls, so one of the two clocks is wrong: the refusal says what time it is here. */
  async #expiredHere(error: errors.JWTExpired): Promise<DomainError> {
    const now = Math.floor(Date.now() / 1000);
    const { iss = "", exp = 0 } = checkedPayload(error.payload);
    const signedTime = await this.#jwt({}, now)
      .setAudience(timeAudience(serviceOf(iss)))
      .sign(this.#signing.key);
    const message = `the token ran out at ${isoOf(exp)}, and by the clock here it is ${isoOf(now)}; are both clocks right?`;
    return new DomainError("TOKEN_EXPIRED", message, { metadata: { signed_time: signedTime }, cause: error });
  }

  #jwt(claims: Record<string, unknown>, issuedAt = Math.floor(Date.now() / 1000)): SignJWT {
    return new SignJWT(claims)
      .setProtectedHeader({ alg: "EdDSA", kid: this.#signing.kid })
      .setIssuer(this.service)
      .setIssuedAt(issuedAt);
  }

  #keyOf(kid: string | undefined): CryptoKey {
    const key = this.#verifying.get(kid ?? "");
    if (key === undefined)
      throw new DomainError("TOKEN_SIGNATURE_INVALID", "the token is signed by a key that is not known here");
    return key;
  }
}

function principalOf(payload: TokenPayload, issuer: ServiceName, here: ServiceName): Principal {
  const audiences = new Set([payload.aud ?? []].flat());
  const isCas = here === "cas-gateway" && issuer === "workflow-run" && audiences.has(casAudience);
  if (isCas) checkLife(payload, "the CAS", casTokenSeconds);
  if (audiences.has(serviceAudience(here))) {
    checkLife(payload, "a service", serviceTokenSeconds);
    return { kind: "service", service: issuer };
  }
  const { org_id: organizationId, org: organization } = payload;
  if (issuer === "workflow-run" && organizationId !== undefined && organization !== undefined) {
    if (isCas && payload.cas !== undefined) return { kind: "cas", organizationId, organization, ...payload.cas };
    const isApi = audiences.has(apiAudience) || audiences.has(chainloopAudience);
    if (isApi && payload.jti !== undefined && payload.role !== undefined) {
      const instanceAdmin = payload.instance_admin === true;
      return { kind: "api", tokenId: payload.jti, organizationId, organization, role: payload.role, instanceAdmin };
    }
  }
  const came = [...audiences].join(", ");
  throw new DomainError(
    "TOKEN_AUDIENCE_WRONG",
    `the token is not for this service: expected the audience ${apiAudience}; came ${came || "none"}`,
    {
      metadata: { expected: apiAudience, actual: came },
    },
  );
}

/** One that would live for longer than it can have been made to was not made by `Keyring`. */
function checkLife({ iat, exp }: TokenPayload, of: string, longest: number): void {
  const life = exp === undefined || iat === undefined ? Number.POSITIVE_INFINITY : exp - iat;
  if (life <= longest) return;
  const came = exp === undefined ? "no exp" : iat === undefined ? "no iat" : `${life} s`;
  throw new DomainError("TOKEN_MALFORMED", `a token for ${of} must run out, ${longest} s after its iat; came ${came}`, {
    metadata: { expected: `1..${longest} s`, actual: came },
  });
}

// The leeway is jose's: a token that has just run out is let through by it, so it must be remembered for as long.
function expiryOf(payload: TokenPayload): number {
  return payload.exp === undefined ? Number.POSITIVE_INFINITY : (payload.exp + leewaySeconds) * 1000;
}

function serviceOf(kid: string): ServiceName {
  const name = kid.split(".")[0];
  if (name === "workflow-run" || name === "attestation-ingest" || name === "cas-gateway") return name;
  throw new DomainError("TOKEN_SIGNATURE_INVALID", "the key id does not name a service");
}

function isServiceTokenExpired(error: unknown, here: ServiceName): error is errors.JWTExpired {
  return error instanceof errors.JWTExpired && [error.payload.aud ?? []].flat().includes(serviceAudience(here));
}

function isoOf(seconds: number): string {
  const time = new Date(seconds * 1000);
  return Number.isNaN(time.getTime()) ? "a time that no clock shows" : time.toISOString();
}

function ignore(): void {}

function tokenFault(error: unknown): DomainError {
  if (error instanceof DomainError) return error;
  if (error instanceof errors.JWTExpired) {
    return new DomainError(
      "TOKEN_EXPIRED",
      `the token ran out at ${isoOf(error.payload.exp ?? 0)}; make a new one (attestry token create)`,
      {
        cause: error,
      },
    );
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return new DomainError("TOKEN_SIGNATURE_INVALID", "the token's signature does not match its content", {
      cause: error,
    });
  }
  if (error instanceof errors.JOSEAlgNotAllowed || error instanceof errors.JOSENotSupported) {
    return new DomainError("TOKEN_SIGNATURE_INVALID", "the token is not signed with EdDSA", { cause: error });
  }
  if (error instanceof errors.JWTClaimValidationFailed && (error.claim === "nbf" || error.claim === "iat")) {
    const from = error.payload[error.claim];
    const since = isoOf(typeof from === "number" ? from : Number.NaN);
    return new DomainError(
      "TOKEN_MALFORMED",
      `the token is not valid yet, only from ${since} (${error.claim}); is the clock right?`,
      {
        cause: error,
      },
    );
  }
  return new DomainError("TOKEN_MALFORMED", "the token is no JWT as Attestry issues them", { cause: error });
}

async function readJson<T>(file: string, what: string): Promise<T> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as T;
  } catch (cause) {
    throw new Error(`cannot read ${what} from ${file}: ${(cause as Error).message}`, { cause });
  }
}
