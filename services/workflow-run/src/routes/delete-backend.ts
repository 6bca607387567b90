import type { BackendServiceDeleteRequest, BackendServiceDeleteResponseSchema } from "@attestry/api/run";
import { apiPrincipal, DomainError } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { backendNotFound } from "../backends/backend.ts";
import type { AppContext } from "../context.ts";
import { nameRule, parseName } from "../text.ts";
import { callerActor } from "../tokens/token.ts";

export async function deleteBackend(
  context: AppContext,
  request: BackendServiceDeleteRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof BackendServiceDeleteResponseSchema>> {
  const name = parseName(request.name, nameRule, "name");
  const caller = apiPrincipal(call);
  const actor = await callerActor(context.tokens, caller);
  switch (await context.backends.delete(caller.organizationId, name, actor)) {
    case "deleted":
      return {};
    case "not found":
      throw backendNotFound(name);
    case "default":
      throw new DomainError("BACKEND_IS_DEFAULT", `backend ${name} is the default; make another one the default first`);
    case "has runs":
      throw new DomainError("BACKEND_IN_USE", `runs refer to backend ${name}: it was the default when they began`);
    case "has uploads":
      throw new DomainError(
        "BACKEND_IN_USE",
        `uploads into backend ${name} were allowed: what was put there would be out of reach`,
      );
  }
}
