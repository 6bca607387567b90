import { DomainError, type Reason } from "@attestry/service-kit";
import fc from "fast-check";
import { perform } from "../../../../packages/chainloop-compat/src/control-plane/reading/perform.ts";
import type { ReadingTask } from "../../../../packages/chainloop-compat/src/control-plane/reading/task.ts";
import { bundles, bundlesWithMutatedStatements } from "../grammar/bundle.ts";
import { anyBytes, encoded, mutated } from "../grammar/bytes.ts";
import { anyJson, listOf, objectOf, stringTexts } from "../grammar/json.ts";
import { promise, type Target, target } from "../target.ts";

const quoted = (...texts: string[]) => fc.constantFrom(...texts.map((text) => JSON.stringify(text)));

const schema = {
  materials: listOf(
    objectOf({
      type: quoted("SARIF", "ARTIFACT", "CONTAINER_IMAGE", "SARIFF"),
      name: fc.oneof(quoted("one", "two"), stringTexts),
      optional: fc.constantFrom("true", "false", '"yes"'),
    }),
    3,
  ),
  runner: objectOf({ type: quoted("GITHUB_ACTION", "RUNNER_TYPE_UNSPECIFIED", "") }),
  envAllowList: listOf(stringTexts, 3),
  policies: fc.oneof(objectOf({ attestation: listOf(objectOf({ ref: stringTexts }), 2) }), anyJson),
};

/** In both shapes, as JSON, which is YAML as well. */
const contracts = fc.oneof(
  objectOf({ schemaVersion: quoted("v1", "v2"), ...schema }),
  objectOf({
    apiVersion: quoted("chainloop.dev/v1"),
    kind: quoted("Contract"),
    metadata: objectOf({ name: stringTexts, description: stringTexts }),
    spec: objectOf(schema),
  }),
);
const contractTexts = fc.oneof(encoded(contracts), mutated(encoded(contracts)), anyBytes);

/** As a caller of the thread has it. */
function read(task: ReadingTask): void {
  const answer = perform(task);
  if ("refused" in answer) throw new DomainError(answer.refused.code as Reason, answer.refused.message);
  if (typeof answer.read !== "object" || !("problem" in answer.read)) return;
  const { name, description, problem } = answer.read;
  promise(problem.length < 2_000 && !problem.includes("\n"), "a problem that is no line");
  promise(typeof name === "string" && typeof description === "string", "a name that is no text");
  if (problem !== "") throw new DomainError("CONTRACT_INVALID", problem);
}

const kinds = fc.constantFrom("attestation", "referrers");
const shown = fc.oneof(bundles, bundlesWithMutatedStatements);

export const chainloopTargets: readonly Target[] = [
  target("chainloop's contracts", 3_000, contractTexts, (text) => read({ kind: "contract", text })),
  target(
    "what chainloop shows of bundles",
    3_000,
    fc.tuple(kinds, shown, encoded(anyJson)),
    ([kind, bundle, bytes]) => {
      if (kind === "referrers") read({ kind, bundle, digest: `sha256:${"a".repeat(64)}`, only: undefined });
      else read({ kind, bundle, evaluations: bytes });
    },
  ),
];
