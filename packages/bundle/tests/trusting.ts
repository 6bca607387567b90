import { parseBundle, parseTrustPolicy, type TrustMaterial, type TrustPolicy, verifyTrusted } from "../src/index.ts";
import { parsed } from "./signing.ts";
import { fixture, refusalText } from "./support.ts";

export const NOW = new Date("2026-11-28T12:00:00Z");
export const ACTIONS = "https://token.actions.githubusercontent.com";

export function policy(material: Partial<TrustMaterial>, rest: Partial<Omit<TrustPolicy, "material">> = {}) {
  return parseTrustPolicy({
    material: { trustedRoots: [], certificateAuthorities: [], publicKeys: [], ...material },
    ...{ transparencyLogThreshold: 0, timestampThreshold: 0, signers: [] },
    ...rest,
  });
}
export const text = (name: string) => fixture(name).toString();
export const byRoot = (name: string, logs = 1, timestamps = 0) =>
  policy(
    { trustedRoots: [text(`${name}.trusted_root.json`)] },
    { transparencyLogThreshold: logs, timestampThreshold: timestamps },
  );
export const publicGood = byRoot("sigstore-public-good");
export const customRoot = byRoot("intoto-with-custom-trust-root", 1, 2);
export const chainloop = policy({ certificateAuthorities: [text("chainloop-cli-63k.ca.pem")] });

/** The JSON of a fixture, to change. */
export function json(name: string) {
  return JSON.parse(text(name));
}

export function verdict(bundle: unknown, by = publicGood, at = NOW): string {
  return refusalText(() => verifyTrusted(Buffer.isBuffer(bundle) ? parseBundle(bundle) : parsed(bundle), by, at));
}
