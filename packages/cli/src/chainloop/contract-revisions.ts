import type { SourceRun } from "./chainloop-database.ts";

/** Which revisions of Attestry's contracts chainloop's are, as far as an import made them or found them here. */
export class ContractRevisions {
  /** By the ids of chainloop's contracts. */
  readonly #contracts = new Map<string, { name: string; numbers: Map<number, number> }>();
  /** What contracts Attestry's workflows have, by PROJECT/NAME. */
  readonly #workflows = new Map<string, string>();

  /** Revisions of chainloop's contract have the text that is the revision `number` of the contract `name` here. */
  addRevisions(contract: { id: string; name: string }, revisions: readonly number[], number: number): void {
    const { name, numbers } = this.#contracts.get(contract.id) ?? { name: contract.name, numbers: new Map() };
    this.#contracts.set(contract.id, { name, numbers });
    for (const revision of revisions) numbers.set(revision, number);
  }

  addWorkflow(project: string, workflow: string, contract: string): void {
    this.#workflows.set(`${project}/${workflow}`, contract);
  }

  /** The number here of the revision that a run used; 0: not known, or not of the contract that its workflow has here. */
  usedBy({ project, workflow, contractId, contractRevision }: SourceRun): number {
    const contract = this.#contracts.get(contractId ?? "");
    if (contract === undefined || contract.name !== this.#workflows.get(`${project}/${workflow}`)) return 0;
    return contract.numbers.get(contractRevision ?? 0) ?? 0;
  }
}
