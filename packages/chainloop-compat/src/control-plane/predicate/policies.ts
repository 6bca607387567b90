import { DEFAULT_LIMITS, readJson } from "@attestry/bundle";
import {
  type DescMessage,
  fromJson,
  type JsonValue,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  PolicyLicenseViolationFindingSchema,
  PolicySASTFindingSchema,
  PolicyVulnerabilityFindingSchema,
} from "../../gen/attestation/v1/attestation_pb.ts";
import type {
  PolicyEvaluationSchema,
  PolicyEvaluationsSchema,
  PolicyReferenceSchema,
  PolicyViolationSchema,
} from "../../gen/controlplane/v1/policy_pb.ts";
import type { AttestationItem_PolicyEvaluationStatusSchema } from "../../gen/controlplane/v1/workflow_run_pb.ts";
import { CraftingSchema_Material_MaterialTypeSchema as MaterialTypeSchema } from "../../gen/workflowcontract/v1/workflowcontract_pb.ts";
import { countOf, field, isObject, type JsonObject, objectOf, textListOf, textMapOf, textOf } from "../json.ts";

type Violation = MessageInitShape<typeof PolicyViolationSchema>;

/** Under what evaluations stand that are of the attestation as a whole. */
const ofAttestation = "CHAINLOOP.ATTESTATION";

/**
 * The evaluations of a predicate, by material.
 * @param kept those that it only refers to, in one list
 */
export function policyEvaluationsOf(
  predicate: JsonObject,
  kept: JsonObject[] | undefined,
): Record<string, MessageInitShape<typeof PolicyEvaluationsSchema>> {
  const byMaterial = kept === undefined ? objectOf(field(predicate, "policyEvaluations")) : grouped(kept);
  return Object.fromEntries(
    Object.entries(byMaterial)
      .filter(([, evaluations]) => Array.isArray(evaluations))
      .map(([material, evaluations]) => [
        material.toWellFormed(),
        { evaluations: (evaluations as unknown[]).filter(isObject).map(evaluationItem) },
      ]),
  );
}

/** Digest in hex of the evaluations that a newer client put into the CAS; empty: there are none. */
export function evaluationsRefOf(predicate: JsonObject): string {
  const hex = textOf(objectOf(objectOf(field(predicate, "policyEvaluationsRef")).digest).sha256);
  return /^[0-9a-f]{64}$/.test(hex) ? hex : "";
}

/** What the CAS has of them: attestation.v1.PolicyEvaluation in JSON. Undefined for anything else. */
export function evaluationsOf(bytes: Uint8Array): JsonObject[] | undefined {
  const json = readJson(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8"), DEFAULT_LIMITS);
  const { evaluations } = objectOf("value" in json ? json.value : undefined);
  return Array.isArray(evaluations) ? evaluations.filter(isObject) : undefined;
}

function grouped(evaluations: JsonObject[]): Record<string, JsonObject[] | undefined> {
  return Object.groupBy(evaluations, (one) => textOf(field(one, "materialName")) || ofAttestation);
}

/** How it all ended, without the summary, which is the run's; there also if no policy was evaluated, since the client takes it for granted. */
export function policyStatusOf(
  predicate: JsonObject,
): MessageInitShape<typeof AttestationItem_PolicyEvaluationStatusSchema> {
  return {
    strategy: textOf(field(predicate, "policyCheckBlockingStrategy")),
    bypassed: field(predicate, "policyBlockBypassEnabled") === true,
    blocked: (predicate.policyAttBlocked ?? predicate.policy_attestation_blocked) === true,
    hasViolations: field(predicate, "policyHasViolations") === true,
    hasGatedViolations: field(predicate, "policyHasGatedViolations") === true,
    evaluationsCount: countOf(field(predicate, "policyEvaluationsCount")),
    violationsCount: countOf(field(predicate, "policyViolationsCount")),
  };
}

function evaluationItem(evaluation: JsonObject): MessageInitShape<typeof PolicyEvaluationSchema> {
  const policyReference = referenceItem(field(evaluation, "policyReference"));
  const groupReference = referenceItem(field(evaluation, "groupReference"));
  const { violations } = evaluation;
  return {
    name: textOf(evaluation.name),
    materialName: textOf(field(evaluation, "materialName")),
    body: textOf(evaluation.body),
    sources: textListOf(evaluation.sources),
    annotations: textMapOf(evaluation.annotations),
    description: textOf(evaluation.description),
    with: textMapOf(evaluation.with),
    type: materialType(evaluation.type),
    violations: Array.isArray(violations) ? violations.filter(isObject).map(violationItem) : [],
    skipped: evaluation.skipped === true,
    skipReasons: textListOf(field(evaluation, "skipReasons")),
    requirements: textListOf(evaluation.requirements),
    gate: evaluation.gate === true,
    ...(policyReference && { policyReference }),
    ...(groupReference && { groupReference }),
  };
}

/** Old predicates have the number. */
function materialType(value: unknown): string {
  return typeof value === "number"
    ? (MaterialTypeSchema.values.find(({ number }) => number === value)?.name ?? "")
    : textOf(value);
}

/** A resource descriptor of in-toto, or the client's own message of a reference, whose digest is a text; or nothing. */
function referenceItem(descriptor: unknown): MessageInitShape<typeof PolicyReferenceSchema> | undefined {
  if (!isObject(descriptor)) return undefined;
  return {
    name: textOf(descriptor.name),
    uri: textOf(descriptor.uri),
    digest: typeof descriptor.digest === "string" ? digestOf(descriptor.digest) : textMapOf(descriptor.digest),
    organization: textOf(objectOf(descriptor.annotations).organization ?? field(descriptor, "orgName")),
  };
}

function digestOf(text: string): Record<string, string> {
  const [algorithm = "", value] = textOf(text).split(":", 2);
  return value === undefined ? {} : { [algorithm]: value };
}

function violationItem(violation: JsonObject): Violation {
  return {
    subject: textOf(violation.subject),
    message: textOf(violation.message),
    suppress: violation.suppress === true,
    finding: findingOf(violation),
  };
}

function findingOf(violation: JsonObject): NonNullable<Violation["finding"]> {
  const vulnerability = messageOf(PolicyVulnerabilityFindingSchema, violation.vulnerability);
  if (vulnerability !== undefined) return { case: "vulnerability", value: vulnerability };
  const sast = messageOf(PolicySASTFindingSchema, violation.sast);
  if (sast !== undefined) return { case: "sast", value: sast };
  const licenseViolation = messageOf(PolicyLicenseViolationFindingSchema, field(violation, "licenseViolation"));
  if (licenseViolation !== undefined) return { case: "licenseViolation", value: licenseViolation };
  return { case: undefined };
}

/** A message that the predicate has as proto JSON; undefined if it is none. */
function messageOf<D extends DescMessage>(schema: D, value: unknown): MessageShape<D> | undefined {
  if (!isObject(value)) return undefined;
  try {
    return fromJson(schema, value as JsonValue, { ignoreUnknownFields: true });
  } catch {
    return undefined;
  }
}
