import type {
  ProjectServiceReleaseVersionRequest,
  ProjectServiceReleaseVersionResponseSchema,
} from "@attestry/api/run";
import { apiPrincipal, DomainError } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { projectVersionMessage } from "../messages.ts";
import { longestVersion, projectVersionNotFound } from "../projects/project-version.ts";
import { looseNameRule, parseLine, parseName } from "../text.ts";
import { callerActor } from "../tokens/token.ts";

export async function releaseProjectVersion(
  context: AppContext,
  request: ProjectServiceReleaseVersionRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof ProjectServiceReleaseVersionResponseSchema>> {
  const caller = apiPrincipal(call);
  const { organizationId } = caller;
  const project = parseName(request.project, looseNameRule, "project");
  const name = parseLine(request.version, longestVersion, "version");
  // The latest may be another by the time that this arrives, and to release one is for good.
  if (name === "") throw new DomainError("REQUEST_INVALID", "version must name the version to release; came nothing");
  await context.projectVersions.release(organizationId, project, name, await callerActor(context.tokens, caller));
  const version = await context.projectVersions.find(organizationId, project, name);
  if (version === null) throw projectVersionNotFound(project, name);
  return { version: projectVersionMessage(version) };
}
