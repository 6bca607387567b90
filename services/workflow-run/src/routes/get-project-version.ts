import type { ProjectServiceGetVersionRequest, ProjectServiceGetVersionResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { projectVersionMessage } from "../messages.ts";
import { longestVersion, projectVersionNotFound } from "../projects/project-version.ts";
import { looseNameRule, parseLine, parseName } from "../text.ts";

export async function getProjectVersion(
  context: AppContext,
  request: ProjectServiceGetVersionRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof ProjectServiceGetVersionResponseSchema>> {
  const project = parseName(request.project, looseNameRule, "project");
  const name = parseLine(request.version, longestVersion, "version");
  const version = await context.projectVersions.find(apiPrincipal(call).organizationId, project, name);
  if (version === null) throw projectVersionNotFound(project, name);
  return { version: projectVersionMessage(version) };
}
