import type { CallOptions } from "@connectrpc/connect";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Context } from "../context.ts";
import { reasonOf } from "../errors.ts";
import { bounded } from "./bounded.ts";
import type { ContractRevisions } from "./contract-revisions.ts";
import { isOfOne } from "./faults.ts";
import type { SourceContract, SourceDefinitions, SourceText, SourceWorkflow } from "./source-definitions.ts";

export interface DefinitionCounts {
  contracts: number;
  /** Of contracts. */
  revisions: number;
  workflows: number;
  releasedVersions: number;
}

export interface DefinitionParts {
  context: Context;
  source: SourceDefinitions;
  /** Of chainloop's organization. */
  organizationId: string;
  counts: DefinitionCounts;
  /** Gets what became of which revision. */
  revisions: ContractRevisions;
  /** Gets what could not be imported, and why. */
  onFault: (what: string, error: unknown) => void;
}

/** Makes Attestry's contracts and workflows of chainloop's, as far as they are not there; nothing that is there is changed. */
export class DefinitionsImport {
  readonly #parts: DefinitionParts;

  constructor(parts: DefinitionParts) {
    this.#parts = parts;
  }

  /** Before the runs, which then find their workflows with the right contracts. */
  async contractsAndWorkflows(): Promise<void> {
    const { source, organizationId } = this.#parts;
    for await (const page of source.contracts(organizationId)) {
      for (const contract of page) await this.#perOne(`contract ${contract.name}`, () => this.#contract(contract));
    }
    for await (const page of source.workflows(organizationId)) {
      for (const workflow of page) {
        await this.#perOne(`workflow ${workflow.project}/${workflow.name}`, () => this.#workflow(workflow));
      }
    }
  }

  /** After the runs, which make the versions. */
  async releasedVersions(): Promise<void> {
    const { source, organizationId, counts, context } = this.#parts;
    for await (const page of source.releasedVersions(organizationId)) {
      for (const { project, version } of page) {
        await this.#perOne(`version ${version} of ${project}`, async () => {
          const released = await this.#call((call) =>
            context.services.projects.releaseVersion({ project, version }, call),
          );
          if (released !== undefined) counts.releasedVersions++;
        });
      }
    }
  }

  async #contract(contract: SourceContract): Promise<void> {
    const { context, source, counts, revisions } = this.#parts;
    const { contracts } = context.services;
    const { id, name, project, description } = contract;
    const texts = merged(await source.texts(id));
    let there = await this.#revision(name);
    if (there === undefined) {
      const first = {
        name,
        project: project ?? "",
        description: shortened(description),
        text: texts[0]?.text ?? new Uint8Array(0),
      };
      const created = await this.#call((call) => contracts.create(first, call));
      if (created === undefined) return;
      counts.contracts++;
      counts.revisions++;
      there = { number: 1, text: first.text };
    }
    for (const [index, { text, revisions: same }] of texts.slice(0, there.number).entries()) {
      const present = index + 1 === there.number ? there : await this.#revision(name, index + 1);
      if (present !== undefined && text.equals(present.text)) revisions.addRevisions(contract, same, index + 1);
    }
    // Changed here meanwhile: then it goes its own way.
    if (!texts[there.number - 1]?.text.equals(there.text)) return;
    for (const { text, revisions: same } of texts.slice(there.number)) {
      const updated = await this.#call((call) => contracts.update({ name, text }, call));
      if (updated?.changed === true) counts.revisions++;
      if (updated?.revision !== undefined) revisions.addRevisions(contract, same, updated.revision.revision);
    }
  }

  /** @param revision 0: the latest */
  async #revision(name: string, revision = 0): Promise<{ number: number; text: Uint8Array } | undefined> {
    const answer = await this.#call((call) => this.#parts.context.services.contracts.get({ name, revision }, call));
    return answer?.revision && { number: answer.revision.revision, text: answer.revision.text };
  }

  async #workflow({ project, name, description, team, contract }: SourceWorkflow): Promise<void> {
    const request = {
      project,
      name,
      description: shortened(description),
      team: team.slice(0, 128),
      contract: contract ?? "",
    };
    const { workflows } = this.#parts.context.services;
    const answer = await this.#call((call) => workflows.findOrCreate(request, call));
    if (answer?.created === true) this.#parts.counts.workflows++;
    // One that was here before need not have that contract.
    if (answer?.workflow !== undefined) this.#parts.revisions.addWorkflow(project, name, answer.workflow.contract);
  }

  async #perOne(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!isOfOne(error)) throw error;
      this.#parts.onFault(what, error);
    }
  }

  /** Undefined for what is not there, and from a server that does not know the method yet. */
  async #call<T>(call: (options: CallOptions) => Promise<T>): Promise<T | undefined> {
    try {
      return await this.#parts.context.caller.repeatable((options) => call(bounded(options)));
    } catch (error) {
      if (error instanceof ConnectError && isAbsence(error)) return undefined;
      throw error;
    }
  }
}

function isAbsence(error: ConnectError): boolean {
  if (error.code === Code.Unimplemented) return true;
  return ["CONTRACT_NOT_FOUND", "PROJECT_VERSION_NOT_FOUND"].includes(reasonOf(error) ?? "");
}

/** As Attestry counts them: a text that is the latest already makes no revision. */
function merged(texts: readonly SourceText[]): { text: Buffer; revisions: number[] }[] {
  const counted: { text: Buffer; revisions: number[] }[] = [];
  for (const { revision, text } of texts) {
    const last = counted.at(-1);
    if (last?.text.equals(text)) last.revisions.push(revision);
    else counted.push({ text, revisions: [revision] });
  }
  return counted;
}

function shortened(description: string): string {
  return Array.from(description).slice(0, 1_024).join("");
}
