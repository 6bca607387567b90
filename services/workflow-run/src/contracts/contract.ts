import { DomainError } from "@attestry/service-kit";
import type { Rule } from "../text.ts";

export type ContractFormat = "json" | "yaml";

/** What is kept of a contract beside its texts. */
export interface Contract {
  id: string;
  name: string;
  /** Only workflows of this project may have it; empty: of any. */
  project: string;
  description: string;
  createdAt: Date;
  updatedAt: Date;
  /** From 1. */
  latestRevision: number;
  latestRevisionAt: Date;
  /** Those that have it, by project and name; the first 100. */
  workflows: ContractWorkflow[];
}

export interface ContractWorkflow {
  id: string;
  project: string;
  name: string;
}

/** The text of a contract from one change to the next. */
export interface ContractRevision {
  id: string;
  revision: number;
  createdAt: Date;
  /** Exactly as given. */
  text: Uint8Array;
  format: ContractFormat;
}

/** A text that was read; its bytes are as given. */
export interface ContractText {
  text: Uint8Array;
  format: ContractFormat;
}

/** Of a new contract. */
export interface NewContract {
  organizationId: string;
  name: string;
  project: string;
  description: string;
  /** Null: one that asks for nothing. */
  text: ContractText | null;
}

/** Names of contracts: a workflow that names none has one that is named PROJECT-NAME. */
export const contractNameRule: Rule = {
  pattern: /^[A-Za-z0-9._-]{1,300}$/,
  expected: "1 to 300 letters, digits, '.', '_' and '-'",
};

/** Of a contract or a workflow, in characters. */
export const longestDescription = 1_024;

/** 0 stands for the latest, or for any. Throws REQUEST_INVALID. */
export function parseRevision(revision: number, what: string): number {
  if (revision >= 0) return revision;
  throw new DomainError("REQUEST_INVALID", `${what} must be at least 0; came ${revision}`, {
    metadata: { expected: "at least 0", actual: String(revision) },
  });
}

export function contractNotFound(name: string): DomainError {
  return new DomainError("CONTRACT_NOT_FOUND", `there is no contract ${name} in this organization`, {
    metadata: { contract: name },
  });
}

export function contractOfOtherProject(
  { name, project }: Pick<Contract, "name" | "project">,
  wanted: string,
): DomainError {
  return new DomainError(
    "CONTRACT_NOT_FOUND",
    `the contract ${name} is for workflows of the project ${project} only; came a workflow of ${wanted}`,
    { metadata: { contract: name, expected: project, actual: wanted } },
  );
}

export function contractExists(name: string): DomainError {
  return new DomainError("CONTRACT_EXISTS", `there is a contract ${name} in this organization already`, {
    metadata: { contract: name },
  });
}

export function revisionNotFound({ name, latestRevision }: Contract, revision: number): DomainError {
  return new DomainError(
    "CONTRACT_REVISION_NOT_FOUND",
    `the contract ${name} has the revisions 1 to ${latestRevision}; came ${revision}`,
    { metadata: { contract: name, expected: `1..${latestRevision}`, actual: String(revision) } },
  );
}
