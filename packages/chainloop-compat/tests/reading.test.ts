import { expect, test } from "@jest/globals";
import { perform } from "../src/control-plane/reading/perform.ts";
import { bundleOf } from "./command-line.ts";

test("a statement that begins with a byte order mark is shown, since it is stored", () => {
  const bundle = JSON.parse(bundleOf({}).toString());
  const { dsseEnvelope } = bundle;
  const payload = Buffer.concat([Buffer.from("\uFEFF"), Buffer.from(dsseEnvelope.payload, "base64")]);
  dsseEnvelope.payload = payload.toString("base64");
  const shown = perform({ kind: "attestation", bundle: Buffer.from(JSON.stringify(bundle)), evaluations: undefined });
  expect(shown).toEqual({ read: { item: expect.any(Uint8Array), evaluationsRef: "" } });
});

test("a contract in YAML may merge", () => {
  const text = Buffer.from(
    "schemaVersion: v1\nbase: &base {type: SARIF}\nmaterials:\n  - {<<: *base, name: one}\n  - {<<: *base, name: two}\n",
  );
  expect(perform({ kind: "contract", text })).toMatchObject({ read: { problem: "" } });
});
