import { type AccessRule, methodName, type ServiceName } from "@attestry/service-kit";
import type { DescMethod } from "@bufbuild/protobuf";
import fc from "fast-check";
import { access as chainloopAccess } from "../../../../packages/chainloop-compat/src/control-plane/access.ts";
import { access as ingestAccess } from "../../../../services/attestation-ingest/src/access.ts";
import { access as casAccess } from "../../../../services/cas-gateway/src/access.ts";
import { access as runAccess } from "../../../../services/workflow-run/src/access.ts";
import type { Tokens } from "./standalone.ts";

const access: Readonly<Record<string, AccessRule>> = {
  ...runAccess,
  ...ingestAccess,
  ...casAccess,
  ...chainloopAccess,
};

/** Whether there is a rule for it: another service may be named in the same package. */
export function isServed(method: DescMethod): boolean {
  return access[methodName(method)] !== undefined;
}

/** Who calls: mostly one who may. */
export type Caller = "who may" | "nobody" | "an admin" | "an uploader" | "a service" | "an odd one";
export const callers: fc.Arbitrary<Caller> = fc.oneof(
  { weight: 20, arbitrary: fc.constant<Caller>("who may") },
  { weight: 1, arbitrary: fc.constantFrom<Caller>("nobody", "an admin", "an uploader", "a service", "an odd one") },
);

export interface Case<Call> {
  /** `attestry.run.v1.RunService/Create`, or a path. */
  what: string;
  caller: Caller;
  call: Call;
}

/** The header of the caller. */
export async function authorizationOf(
  { what, caller }: Pick<Case<unknown>, "what" | "caller">,
  tokens: Tokens,
): Promise<Record<string, string>> {
  const token = await tokenOf(what, caller, tokens);
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

async function tokenOf(what: string, caller: Caller, tokens: Tokens): Promise<string | undefined> {
  switch (caller) {
    case "nobody":
      return undefined;
    case "an admin":
      return tokens.admin;
    case "an uploader":
      return tokens.cas("uploader", "blobs");
    case "a service":
      return tokens.service["attestation-ingest"](serviceOf(what));
    case "an odd one":
      return `${tokens.admin.slice(0, -4)}AAAA`;
    case "who may":
      return rightful(what, access[what] ?? { api: "admin" }, tokens);
  }
}

async function rightful(what: string, { api, services, cas }: AccessRule, tokens: Tokens): Promise<string> {
  const [role] = cas ?? [];
  const [service] = services ?? [];
  if (role !== undefined) return tokens.cas(role, "blobs");
  if (api !== undefined) return tokens.admin;
  if (service !== undefined) return tokens.service[service](serviceOf(what));
  return tokens.instanceAdmin;
}

/** Which service has the method, by its package. */
function serviceOf(what: string): ServiceName {
  if (/^attestry\.(run|audit)\./.test(what)) return "workflow-run";
  return /^(attestry\.ingest|controlplane)\./.test(what) ? "attestation-ingest" : "cas-gateway";
}
