import type { IncomingHttpHeaders } from "node:http";

/**
 * A large blob lies in a data object; at its key lies a small object whose metadata says where, and how large the blob
 * is. Putting that one makes the blob visible, at once and whole, however long the data took.
 */
export interface Reference {
  /** Key of the data object, below the organization's prefix. Undefined: there is nothing here any more. */
  dataKey: string | undefined;
  /** Of the blob. */
  sizeBytes: number;
}

/** Every reference has this size, so that a listing shows which objects may be one. */
export const referenceBytes = 512;

const dataHeader = "x-amz-meta-attestry-data";
const sizeHeader = "x-amz-meta-attestry-size";
const nothing = "none";
const dataKeyPattern = /^data\/[A-Za-z0-9._/-]{1,400}$/;
const sizePattern = /^[0-9]{1,16}$/;

/** The metadata headers of a reference; S3 metadata is what no writer of a blob can give. */
export function referenceHeaders({ dataKey, sizeBytes }: Reference): Record<string, string> {
  return { [dataHeader]: dataKey ?? nothing, [sizeHeader]: String(sizeBytes) };
}

/** The bytes of a reference: told apart by them, no two have the same entity tag. */
export function referenceBody({ dataKey = nothing }: Reference): Buffer {
  return Buffer.from(`Attestry keeps the blob of this key in ${dataKey}\n`.padEnd(referenceBytes));
}

/** Undefined for an object that is its blob itself. */
export function referenceOf(headers: IncomingHttpHeaders): Reference | undefined {
  const dataKey = headers[dataHeader];
  const size = headers[sizeHeader];
  if (typeof dataKey !== "string" || typeof size !== "string" || !sizePattern.test(size)) return undefined;
  if (dataKey === nothing) return { dataKey: undefined, sizeBytes: 0 };
  const climbs = dataKey.split("/").some((segment) => segment === "." || segment === "..");
  return dataKeyPattern.test(dataKey) && !climbs ? { dataKey, sizeBytes: Number(size) } : undefined;
}
