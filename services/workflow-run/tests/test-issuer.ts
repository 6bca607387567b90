import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT } from "jose";

const usedPorts = new Set<number>();

/** An OpenID Connect issuer as a CI system has one: its discovery document, its keys, and tokens. */
export class TestIssuer {
  /** Requests by path. */
  readonly requests: string[] = [];
  /** Answers in place of the right ones; undefined: as it should be. */
  answer: ((request: http.IncomingMessage, response: http.ServerResponse) => boolean) | undefined;
  readonly #server: http.Server;
  readonly #path: string;
  #keys: { kid: string; privateKey: CryptoKey; publicKey: CryptoKey; jwk: JWK }[] = [];
  /** Published beside the own one. */
  readonly #otherKeys: JWK[] = [];
  #port = 0;

  readonly #host: string;

  /** `path`: what its URL has after the host, such as `/acme`. `host`: how its URL names this machine. */
  constructor(path = "", host = "127.0.0.1") {
    this.#path = path;
    this.#host = host;
    this.#server = http.createServer((request, response) => this.#serve(request, response));
  }

  get url(): string {
    return `http://${this.#host}:${this.#port}${this.#path}`;
  }

  async start(): Promise<void> {
    await this.rotate();
    if (this.#port !== 0) return this.#listen(this.#port);
    // The system may give a port again, and a service still has the keys of who was there before.
    await this.#listen(0);
    while (usedPorts.has(this.#port)) {
      await this.stop();
      await this.#listen(0);
    }
    usedPorts.add(this.#port);
  }

  async #listen(port: number): Promise<void> {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Signs with a new key from now on, and publishes it alone. */
  async rotate(): Promise<void> {
    const { privateKey, publicKey } = await generateKeyPair("RS256", { extractable: true });
    const kid = `key-${this.#keys.length + 1}`;
    this.#keys.push({
      kid,
      privateKey,
      publicKey,
      jwk: { ...(await exportJWK(publicKey)), kid, alg: "RS256", use: "sig" },
    });
  }

  /** As GitHub Actions signs: https://docs.github.com/actions, "OpenID Connect reference". */
  github(changes: Record<string, unknown> = {}, key = this.key): Promise<string> {
    return this.sign(
      {
        sub: "repo:acme/app:ref:refs/heads/main",
        ...{ repository: "acme/app", repository_owner: "acme", repository_id: "74", ref: "refs/heads/main" },
        ...{ workflow: "release", event_name: "push", run_id: "1658821493", jti: "example-id" },
        ...changes,
      },
      key,
    );
  }

  /** As GitLab signs: https://docs.gitlab.com/ci/secrets/id_token_authentication. */
  gitlab(changes: Record<string, unknown> = {}): Promise<string> {
    return this.sign({
      sub: "project_path:acme/group/app:ref_type:branch:ref:main",
      ...{ project_path: "acme/group/app", namespace_path: "acme/group", project_id: "22", ref: "main" },
      ...{ ref_type: "branch", ref_protected: "true", pipeline_source: "push", job_id: "302" },
      ...changes,
    });
  }

  sign(
    claims: Record<string, unknown>,
    { kid, privateKey }: { kid: string; privateKey: CryptoKey } = this.key,
  ): Promise<string> {
    const second = Math.floor(Date.now() / 1_000);
    const times = { iat: second, nbf: second - 5, exp: second + 300 };
    return new SignJWT({ iss: this.url, aud: "attestry", ...times, ...claims })
      .setProtectedHeader({ alg: "RS256", typ: "JWT", kid })
      .sign(privateKey);
  }

  /** The same claims with the public key as a shared secret, as text and as what is in it. */
  async withPublicKeyAsSecret(token: string): Promise<string> {
    const signed = `${base64({ alg: "HS256", kid: this.key.kid })}.${token.split(".")[1]}`;
    return `${signed}.${createHmac("sha256", await exportSPKI(this.key.publicKey))
      .update(signed)
      .digest("base64url")}`;
  }

  unsigned(token: string): string {
    return `${base64({ alg: "none", kid: this.key.kid })}.${token.split(".")[1]}.`;
  }

  /** Publishes another key with the id of the own one. */
  async addTwin(): Promise<void> {
    const { publicKey } = await generateKeyPair("RS256");
    this.#otherKeys.push({ ...this.key.jwk, ...(await exportJWK(publicKey)) });
  }

  /** A good token but for its key, which is published and too small. */
  async withSmallKey(): Promise<string> {
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 1_024 });
    this.#otherKeys.push({ ...(publicKey.export({ format: "jwk" }) as JWK), kid: "small", alg: "RS256", use: "sig" });
    const signed = `${base64({ alg: "RS256", kid: "small" })}.${(await this.github()).split(".")[1]}`;
    return `${signed}.${sign("sha256", Buffer.from(signed), privateKey).toString("base64url")}`;
  }

  get key() {
    const key = this.#keys.at(-1);
    if (key === undefined) throw new Error("the issuer was not started");
    return key;
  }

  #serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    this.requests.push(request.url ?? "");
    if (this.answer?.(request, response)) return;
    const documents: Record<string, unknown> = {
      [`${this.#path}/.well-known/openid-configuration`]: { issuer: this.url, jwks_uri: `${this.url}/jwks` },
      [`${this.#path}/jwks`]: { keys: [this.key.jwk, ...this.#otherKeys] },
    };
    const found = documents[request.url ?? ""];
    response.writeHead(found === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(found ?? {}));
  }
}

function base64(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
