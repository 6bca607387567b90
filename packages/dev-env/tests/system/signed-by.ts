import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { Keyring, type ServiceName } from "@attestry/service-kit";
import { importJWK, type JWK, type JWTPayload, SignJWT } from "jose";
import type { Constellation } from "../../src/constellation/index.ts";

/** The keys of a constellation's services, to make with them what the services themselves never would. */
export class Keys {
  readonly #dir: string;

  constructor({ secretsDir }: Constellation) {
    this.#dir = path.join(path.dirname(secretsDir), "keys");
  }

  keyring(service: ServiceName): Promise<Keyring> {
    return Keyring.load({ signingKeyFile: this.#file(service), jwksFile: path.join(this.#dir, "jwks.json") });
  }

  /** A JWT of any claims, with the service's own key. */
  async sign(service: ServiceName, claims: JWTPayload): Promise<string> {
    const jwk = await this.#key(service);
    const header = { alg: "EdDSA", kid: jwk.kid ?? "" };
    return new SignJWT({ iss: service, ...claims }).setProtectedHeader(header).sign(await importJWK(jwk, "EdDSA"));
  }

  /** The same claims without a signature: `alg: none`. */
  async unsigned(token: string): Promise<string> {
    const [, claims = ""] = token.split(".");
    return `${base64({ alg: "none", kid: (await this.#key("workflow-run")).kid })}.${claims}.`;
  }

  /** The same claims, with the public key as a shared secret: what a verifier takes that goes by the token's own alg. */
  async withPublicKeyAsSecret(token: string): Promise<string> {
    const { kid, x = "" } = await this.#key("workflow-run");
    const signed = `${base64({ alg: "HS256", kid })}.${token.split(".")[1]}`;
    return `${signed}.${createHmac("sha256", Buffer.from(x, "base64url")).update(signed).digest("base64url")}`;
  }

  async #key(service: ServiceName): Promise<JWK> {
    return JSON.parse(await readFile(this.#file(service), "utf8")) as JWK;
  }

  #file(service: ServiceName): string {
    return path.join(this.#dir, `${service}.jwk.json`);
  }
}

function base64(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
