import { create } from "@bufbuild/protobuf";
import { type ReferrerItem, ReferrerItemSchema } from "../../gen/controlplane/v1/referrer_pb.ts";
import { field, isObject, objectOf, textMapOf, textOf } from "../json.ts";
import { materialsOf } from "./materials.ts";
import type { ShownBundle } from "./statement.ts";

export const attestationKind = "ATTESTATION";
const commitKind = "GIT_HEAD_COMMIT";
const commitSubject = "git.head";

/** An attestation as a node of the graph. */
export function attestationNode(digest: string, { predicate }: ShownBundle): ReferrerItem {
  const metadata = objectOf(predicate.metadata);
  const shown = ["name", "team", "project", "projectVersion", "organization", "contractName", "contractVersion"];
  return create(ReferrerItemSchema, {
    digest,
    kind: attestationKind,
    downloadable: true,
    annotations: textMapOf(predicate.annotations),
    metadata: {
      ...Object.fromEntries(shown.map((name) => [name, textOf(metadata[name])])),
      projectVersionPrerelease: String(metadata.projectVersionPrerelease === true),
      hasPolicyViolations: String(field(predicate, "policyHasViolations") === true),
      hasGatedPolicyViolations: String(field(predicate, "policyHasGatedViolations") === true),
    },
  });
}

/** What an attestation refers to: its materials and the commit, each once. */
export function referencesOf({ predicate, subjects }: ShownBundle): ReferrerItem[] {
  const nodes = new Map<string, ReferrerItem>();
  const add = (kind: string, digest: string, downloadable: boolean) =>
    nodes.set(`${kind} ${digest}`, create(ReferrerItemSchema, { kind, digest, downloadable }));
  for (const { type, hash, uploadedToCas } of materialsOf(predicate)) add(type, hash, uploadedToCas);
  for (const subject of subjects) {
    if (!isObject(subject) || subject.name !== commitSubject) continue;
    const hash = textOf(objectOf(subject.digest).sha1);
    if (hash !== "") add(commitKind, `sha1:${hash}`, false);
  }
  return [...nodes.values()];
}
