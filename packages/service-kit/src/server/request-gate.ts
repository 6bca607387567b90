import type { HandlerContext } from "@connectrpc/connect";
import { authorize, methodName } from "../auth/access.ts";
import { principalKey } from "../auth/principal.ts";
import { DomainError } from "../errors/domain-error.ts";
import type { RateLimits } from "../limits/rate-limits.ts";
import type { FinishedCall } from "./interceptor.ts";
import type { ServiceModule } from "./module.ts";
import { refusedCall } from "./refused-call.ts";
import { remoteAddressKey } from "./remote-address.ts";

/**
 * What runs on the headers of each call, before a byte of its body is read: who calls, whether they may, and not too often. The
 * same function guards calls over the network and calls in process. A call that it refuses never reaches the
 * interceptor, so it reports these itself.
 */
export function createRequestGate(
  modules: readonly ServiceModule[],
  report: (call: FinishedCall) => void,
  limits?: RateLimits,
): (context: HandlerContext) => Promise<void> {
  const moduleOf = new Map(modules.flatMap((module) => module.services.map((service) => [service.typeName, module])));

  async function admit(context: HandlerContext): Promise<void> {
    const method = methodName(context.method);
    const module = moduleOf.get(context.service.typeName);
    const rule = module?.access[method];
    if (module === undefined || rule === undefined)
      throw new DomainError("METHOD_UNKNOWN", `${method} is not served here`);
    const strangers = limits?.strangersAt(context.values.get(remoteAddressKey));
    if (rule.public) return strangers?.count();
    const principal = await module.authenticator.authenticate(context.requestHeader.get("authorization"), strangers);
    limits?.admit(principal);
    authorize(method, rule, principal);
    context.values.set(principalKey, principal);
  }

  return reporting(report, admit);
}

/**
 * The gate of what is no module's. Streams of requests, which reflection has, count as those who are not known at their
 * address. Health does not: a balancer asks for it from the address that its callers have, too.
 */
export function createOpenGate(
  report: (call: FinishedCall) => void,
  limits: RateLimits,
): (context: HandlerContext) => Promise<void> {
  return reporting(report, async ({ method, values }) => {
    if (method.methodKind === "bidi_streaming") limits.strangersAt(values.get(remoteAddressKey))?.count();
  });
}

function reporting(
  report: (call: FinishedCall) => void,
  admit: (context: HandlerContext) => Promise<void>,
): (context: HandlerContext) => Promise<void> {
  return async (call) => {
    const began = performance.now();
    try {
      await admit(call);
    } catch (error) {
      throw refusedCall(report, call.method, call.requestHeader, began, error);
    }
  };
}
