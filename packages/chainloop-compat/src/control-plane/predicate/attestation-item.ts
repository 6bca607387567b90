import type { ParsedBundle } from "@attestry/bundle";
import { create } from "@bufbuild/protobuf";
import { type AttestationItem, AttestationItemSchema } from "../../gen/controlplane/v1/workflow_run_pb.ts";
import { type JsonObject, textMapOf } from "../json.ts";
import { materialsOf } from "./materials.ts";
import { policyEvaluationsOf, policyStatusOf } from "./policies.ts";
import type { ShownBundle } from "./statement.ts";

/**
 * What a bundle says, as "workflow run describe" shows it.
 * @param evaluations those of policies that its predicate only refers to
 */
export function attestationItem(
  { parsed, predicate }: ShownBundle,
  evaluations: JsonObject[] | undefined,
): AttestationItem {
  return create(AttestationItemSchema, {
    envelope: envelopeJson(parsed),
    envVars: Object.entries(textMapOf(predicate.env))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => ({ name, value })),
    materials: materialsOf(predicate),
    annotations: textMapOf(predicate.annotations),
    policyEvaluations: policyEvaluationsOf(predicate, evaluations),
    policyEvaluationStatus: policyStatusOf(predicate),
  });
}

/** The envelope by itself, as JSON (DSSE, envelope.md). */
function envelopeJson({ envelope }: ParsedBundle): Buffer {
  const { payloadType, payload, signatures } = envelope;
  return Buffer.from(
    JSON.stringify({
      payloadType,
      payload: payload.toString("base64"),
      signatures: signatures.map(({ keyid, sig }) => ({ keyid, sig: decodedOnce(sig).toString("base64") })),
    }),
  );
}

/** Older clients encoded the signature twice; this client verifies the bytes that were meant. */
function decodedOnce(sig: Buffer): Buffer {
  const text = sig.toString("latin1");
  const isBase64 = text.length > 0 && text.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(text);
  return isBase64 ? Buffer.from(text, "base64") : sig;
}
