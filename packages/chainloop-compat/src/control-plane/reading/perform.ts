import { BundleError } from "@attestry/bundle";
import { create, toBinary } from "@bufbuild/protobuf";
import { ReferrerItemSchema } from "../../gen/controlplane/v1/referrer_pb.ts";
import { AttestationItemSchema } from "../../gen/controlplane/v1/workflow_run_pb.ts";
import { CraftingSchemaSchema } from "../../gen/workflowcontract/v1/workflowcontract_pb.ts";
import { problemOf } from "../contract-problem.ts";
import { craftingSchemaOf, descriptionOf, nameOf, readContract } from "../contract-text.ts";
import { attestationItem } from "../predicate/attestation-item.ts";
import { evaluationsOf, evaluationsRefOf } from "../predicate/policies.ts";
import { attestationNode, referencesOf } from "../predicate/referrers.ts";
import { readBundle } from "../predicate/statement.ts";
import { verificationOf } from "../predicate/verification.ts";
import type { Reading, ReadingAnswer, ReadingTask } from "./task.ts";

/** Reads what a task says. Pure; runs in a thread too. Refusals are answered, so that what it throws is a bug. */
export function perform(task: ReadingTask): ReadingAnswer {
  try {
    return { read: read(task) };
  } catch (error) {
    if (!(error instanceof BundleError)) throw error;
    const { code, message, metadata } = error;
    return { refused: { code, message, metadata } };
  }
}

function read(task: ReadingTask): Reading[keyof Reading] {
  switch (task.kind) {
    case "contract": {
      const contract = readContract(task.text);
      const schema = toBinary(CraftingSchemaSchema, craftingSchemaOf(contract));
      const problem = task.text.length === 0 ? "" : problemOf(contract);
      return { name: nameOf(contract), description: descriptionOf(contract), schema, problem };
    }
    case "attestation": {
      const evaluations = task.evaluations && evaluationsOf(task.evaluations);
      const shown = readBundle(task.bundle);
      const item = toBinary(AttestationItemSchema, attestationItem(shown, evaluations));
      return { item, evaluationsRef: evaluationsRefOf(shown.predicate) };
    }
    case "verification":
      return verificationOf(task);
    case "referrers": {
      const shown = readBundle(task.bundle);
      const all = referencesOf(shown);
      const references = task.only === undefined ? all : all.filter(({ digest }) => digest === task.only);
      return toBinary(
        ReferrerItemSchema,
        create(ReferrerItemSchema, { ...attestationNode(task.digest, shown), references }),
      );
    }
  }
}
