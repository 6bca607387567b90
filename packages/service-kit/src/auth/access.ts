import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { DomainError } from "../errors/domain-error.ts";
import type { CasRole, Principal, Role, ServiceName } from "./principal.ts";

/** Who may call a method. Several kinds may be let in: any one that fits is enough. */
export interface AccessRule {
  /** Without any token, as often as an address may call without a good one: the request says who calls. */
  public?: true;
  /** API tokens of at least this role. */
  api?: Role;
  /** API tokens of instance admins, whatever their role. */
  instanceAdmin?: true;
  /** Service tokens of these services. */
  services?: readonly ServiceName[];
  /** CAS tokens of these roles. */
  cas?: readonly CasRole[];
}

/** Rules by full method name, `attestry.run.v1.RunService/Create`. */
export type AccessTable = Readonly<Record<string, AccessRule>>;

const rank: Record<Role, number> = { admin: 2, ci: 1, reader: 0 };

/** The key of a method in an access table. */
export function methodName(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}

/** Where it is called: the path of its requests, in every protocol. */
export function methodPath(method: DescMethod): string {
  return `/${methodName(method)}`;
}

/** Throws if a method of the services has no rule, or a rule has no method. */
export function checkAccessTable(services: readonly DescService[], table: AccessTable): void {
  const methods = new Set(services.flatMap((service) => service.methods.map(methodName)));
  const missing = [...methods].filter((method) => table[method] === undefined);
  const stray = Object.keys(table).filter((method) => !methods.has(method));
  if (missing.length > 0) throw new Error(`no access rule for ${missing.join(", ")}`);
  if (stray.length > 0) throw new Error(`access rules for methods that do not exist: ${stray.join(", ")}`);
}

/** Throws ROLE_INSUFFICIENT unless the rule lets the principal in. */
export function authorize(method: string, rule: AccessRule, principal: Principal): void {
  if (admits(rule, principal)) return;
  throw new DomainError(
    "ROLE_INSUFFICIENT",
    `${method} needs ${describe(rule)}; came ${describePrincipal(principal)}`,
    {
      metadata: { expected: describe(rule), actual: describePrincipal(principal) },
    },
  );
}

function admits(rule: AccessRule, principal: Principal): boolean {
  if (rule.public) return true;
  switch (principal.kind) {
    case "api":
      return (
        (rule.api !== undefined && rank[principal.role] >= rank[rule.api]) ||
        (rule.instanceAdmin === true && principal.instanceAdmin)
      );
    case "service":
      return rule.services?.includes(principal.service) ?? false;
    case "cas":
      return rule.cas?.includes(principal.role) ?? false;
  }
}

function describe(rule: AccessRule): string {
  const ways: string[] = [];
  if (rule.api !== undefined)
    ways.push(
      rule.api === "admin" ? "an API token with the role admin" : `an API token with at least the role ${rule.api}`,
    );
  if (rule.instanceAdmin) ways.push("the API token of an instance admin");
  if (rule.cas !== undefined) ways.push(`a CAS token with the role ${rule.cas.join(" or ")}`);
  if (rule.services !== undefined) ways.push(`the service token of ${rule.services.join(" or ")}`);
  return ways.join(", or ");
}

function describePrincipal(principal: Principal): string {
  switch (principal.kind) {
    case "api":
      return `an API token with the role ${principal.role}`;
    case "service":
      return `the service token of ${principal.service}`;
    case "cas":
      return `a CAS token with the role ${principal.role}`;
  }
}
