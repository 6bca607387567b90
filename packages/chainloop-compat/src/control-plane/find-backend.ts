import type { Backend } from "@attestry/api/run";
import type { HandlerContext } from "@connectrpc/connect";
import { asCaller, given, type Native } from "./native.ts";

/** Throws BACKEND_NOT_FOUND. */
export async function findBackend(native: Native, name: string, call: HandlerContext): Promise<Backend> {
  const { backend } = await native.backends.get({ name }, asCaller(call));
  return given(backend, "the backend");
}

/** The one that new runs take. */
export async function findDefaultBackend(native: Native, call: HandlerContext): Promise<Backend> {
  const { backends } = await native.backends.list({}, asCaller(call));
  const backend = backends.find(({ isDefault }) => isDefault);
  if (backend === undefined) throw new Error("the organization has no default backend");
  return backend;
}
