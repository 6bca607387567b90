import { createHash, createHmac, createSecretKey, type KeyObject } from "node:crypto";

export interface SignedRequest {
  method: string;
  /** Escaped, with the query. */
  path: string;
  /** Names in lower case; `host` among them. All are signed. */
  headers: Record<string, string>;
}

const algorithm = "AWS4-HMAC-SHA256";
const service = "s3";
const terminator = "aws4_request";

/** In the place of the body's digest where that is not signed. */
export const unsignedPayload = "UNSIGNED-PAYLOAD";

/**
 * Signs requests with AWS Signature Version 4 (IAM user guide, "Create a signed AWS API request"). The minio client can, too, but
 * makes the day's key anew for each request, which takes a third of the processor time of a small one (0.15 of 0.5 ms).
 */
export class Signer {
  readonly #accessKey: string;
  readonly #secretKey: string;
  readonly #region: string;
  #day: { day: string; key: KeyObject } | undefined;

  constructor({ accessKey, secretKey, region }: { accessKey: string; secretKey: string; region: string }) {
    this.#accessKey = accessKey;
    this.#secretKey = secretKey;
    this.#region = region;
  }

  /** The headers with the signature. @param payload hex of the body's SHA-256, or `UNSIGNED-PAYLOAD` */
  sign({ method, path, headers }: SignedRequest, payload: string, at: Date): Record<string, string> {
    const time = at.toISOString().replaceAll(/[-:]|\.\d+/g, "");
    const day = time.slice(0, 8);
    const all: Record<string, string> = { ...headers, "x-amz-date": time, "x-amz-content-sha256": payload };
    const names = Object.keys(all).sort();
    const [resource = "/", query = ""] = path.split("?", 2);
    const canonical = [
      method,
      resource,
      canonicalQuery(query),
      ...names.map((name) => `${name}:${(all[name] ?? "").trim().replaceAll(/ +/g, " ")}`),
      "",
      names.join(";"),
      payload,
    ].join("\n");
    const scope = `${day}/${this.#region}/${service}/${terminator}`;
    const text = [algorithm, time, scope, createHash("sha256").update(canonical).digest("hex")].join("\n");
    const signature = createHmac("sha256", this.#keyOf(day)).update(text).digest("hex");
    all.authorization = `${algorithm} Credential=${this.#accessKey}/${scope}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
    return all;
  }

  #keyOf(day: string): KeyObject {
    if (this.#day?.day === day) return this.#day.key;
    const steps = [day, this.#region, service, terminator];
    const key = steps.reduce(
      (made, step) => createHmac("sha256", made).update(step).digest(),
      Buffer.from(`AWS4${this.#secretKey}`),
    );
    this.#day = { day, key: createSecretKey(key) };
    return this.#day.key;
  }
}

/** Sorted by name; a name without a value has an empty one. */
function canonicalQuery(query: string): string {
  if (query === "") return "";
  const pairs = query.split("&").map((pair) => (pair.includes("=") ? pair : `${pair}=`));
  return pairs.sort().join("&");
}
