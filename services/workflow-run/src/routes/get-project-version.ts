import type { ProjectServiceGetVersionRequest, ProjectServiceGetVersionResponseSchema } from "@attestry/api/run";
import { apiPrincipal, DomainError, parseUuid } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { projectVersionMessage } from "../messages.ts";
import { longestVersion, projectVersionIdNotFound, projectVersionNotFound } from "../projects/project-version.ts";
import { looseNameRule, parseLine, parseName } from "../text.ts";

export async function getProjectVersion(
  context: AppContext,
  request: ProjectServiceGetVersionRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof ProjectServiceGetVersionResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  if (request.id !== "") return getById(context, organizationId, request);
  const project = parseName(request.project, looseNameRule, "project");
  const name = parseLine(request.version, longestVersion, "version");
  const version = await context.projectVersions.find(organizationId, project, name);
  if (version === null) throw projectVersionNotFound(project, name);
  return { project, version: projectVersionMessage(version) };
}

async function getById(
  { projectVersions }: AppContext,
  organizationId: string,
  request: ProjectServiceGetVersionRequest,
): Promise<MessageInitShape<typeof ProjectServiceGetVersionResponseSchema>> {
  if (request.project !== "" || request.version !== "")
    throw new DomainError("REQUEST_INVALID", "id names the version by itself; leave project and version out");
  const id = parseUuid(request.id, "REQUEST_INVALID", "id");
  const found = await projectVersions.findById(organizationId, id);
  if (found === null) throw projectVersionIdNotFound(id);
  return { project: found.project, version: projectVersionMessage(found.version) };
}
