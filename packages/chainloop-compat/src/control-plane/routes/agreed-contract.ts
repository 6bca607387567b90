import { DomainError } from "@attestry/service-kit";
import type { HandlerContext } from "@connectrpc/connect";
import type { ControlPlaneContext } from "../context.ts";
import { fitting } from "../fitting.ts";
import { asCaller, type Native, unless } from "../native.ts";
import type { ReadContract } from "../reading/task.ts";

/** As natively, in characters. */
const longestDescription = 1_024;

interface Asked {
  name: string;
  description?: string | undefined;
  text: Uint8Array;
}

/** Without a description: nothing is said of it. */
interface Agreed {
  name: string;
  description?: string;
}

/** What a new contract is called and described as. Throws CONTRACT_INVALID, REQUEST_INVALID. */
export async function agreedContract(
  { reader }: Pick<ControlPlaneContext, "reader">,
  asked: Asked,
  call: HandlerContext,
): Promise<Agreed> {
  const said = await reader.newContract(asked.text, call.signal);
  if (isOther(asked, said)) throw nameChanged(asked, said);
  return agreed(asked, said);
}

/**
 * The same of one that is there. A text that came with a workflow is its contract's whatever name it has within, so its
 * next revision may say that name again.
 */
export async function agreedChange(
  { native, reader }: Pick<ControlPlaneContext, "native" | "reader">,
  asked: Asked,
  call: HandlerContext,
): Promise<Agreed> {
  const said = await reader.newContract(asked.text, call.signal);
  if (isOther(asked, said)) {
    const present = await textOf(native, asked.name, call);
    const { name } = await reader.contract(present, call.signal);
    if (name !== said.name) throw nameChanged(asked, said);
  }
  return agreed(asked, said);
}

/** The description to keep of a contract whose text says this one. */
export function descriptionToKeep({ description }: ReadContract): { description?: string } {
  return description === "" ? {} : { description: fitting(description, longestDescription) };
}

function agreed({ name, description }: Asked, said: ReadContract): Agreed {
  const agreedName = name || said.name;
  if (agreedName === "") {
    throw new DomainError(
      "REQUEST_INVALID",
      "name is required: either provide explicit name or include metadata.name in the schema",
    );
  }
  const hasMetadata = said.name !== "" || said.description !== "";
  // As the client's own server has it: beside metadata nothing else says what the contract is.
  if (hasMetadata || description === undefined) return { name: agreedName, ...descriptionToKeep(said) };
  return { name: agreedName, description };
}

function isOther(asked: Asked, said: ReadContract): boolean {
  return asked.name !== "" && said.name !== "" && asked.name !== said.name;
}

function nameChanged(asked: Asked, said: ReadContract): DomainError {
  return new DomainError(
    "REQUEST_INVALID",
    `contract name cannot be changed: asked for ${JSON.stringify(asked.name)}, the text says ${JSON.stringify(said.name)}`,
  );
}

/** The latest; empty of a contract that is not there. */
async function textOf(native: Native, name: string, call: HandlerContext): Promise<Uint8Array> {
  const found = await native.contracts.get({ name }, asCaller(call)).catch(unless("CONTRACT_NOT_FOUND"));
  return found?.revision?.text ?? new Uint8Array();
}
