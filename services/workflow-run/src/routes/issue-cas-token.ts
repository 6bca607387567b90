import type {
  CredentialServiceIssueCasTokenRequest,
  CredentialServiceIssueCasTokenResponseSchema,
  CredentialServiceIssueCasTokenRequest_Download as Download,
  CredentialServiceIssueCasTokenRequest_Service as ServicePurpose,
} from "@attestry/api/run";
import { parseDigest } from "@attestry/bundle";
import { type ApiPrincipal, type CasPrincipal, DomainError, parseUuid, principal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { type Backend, backendNotFound } from "../backends/backend.ts";
import {
  anyBackendClaims,
  checkOneName,
  downloadClaims,
  type Owner,
  serviceClaims,
  uploadClaims,
} from "../backends/cas-tokens.ts";
import { parseFileName } from "../backends/file-name.ts";
import type { AppContext } from "../context.ts";
import { casRoles, casSpaces, parseEnum } from "../messages.ts";
import { organizationNotFound } from "../organizations/organization.ts";
import { checkMayUpload, runNotFound } from "../runs/lifecycle.ts";
import { parseRunId } from "../runs/run-id.ts";
import { nameRule, parseName } from "../text.ts";

type Claims = Omit<CasPrincipal, "kind">;

export async function issueCasToken(
  context: AppContext,
  request: CredentialServiceIssueCasTokenRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof CredentialServiceIssueCasTokenResponseSchema>> {
  const claims = await claimsFor(context, request.purpose, call);
  const { token, expiresAt } = await context.keyring.issueCasToken(claims);
  context.telemetry.casTokenIssued(claims.role);
  return {
    token,
    expiresAt: timestampFromDate(expiresAt),
    backendNames: claims.backends.map((backend) => backend.name),
    url: request.purpose.case === "download" ? context.links.of(claims.digest ?? "", token) : "",
  };
}

function claimsFor(
  context: AppContext,
  purpose: CredentialServiceIssueCasTokenRequest["purpose"],
  call: HandlerContext,
): Promise<Claims> {
  switch (purpose.case) {
    case "uploadForRun":
      return forRun(context, uploader(call), purpose.value.runId);
    case "upload":
      return forUpload(context, uploader(call), purpose.value.backend);
    case "download":
      return forDownload(context, client(call, "download"), purpose.value);
    case "service":
      checkService(call);
      return forService(context, purpose.value);
    default:
      throw new DomainError(
        "REQUEST_INVALID",
        "give one purpose: upload_for_run, upload, download or service; came none",
      );
  }
}

async function forRun(context: AppContext, caller: ApiPrincipal, runId: string): Promise<Claims> {
  const id = parseRunId(runId);
  const plan = await context.runs.plan({ organizationId: caller.organizationId, id });
  if (plan === null) throw runNotFound(id);
  checkMayUpload(plan.run);
  // The run keeps the backend from being deleted.
  return materialClaims(context, { ...caller, retention: plan.retention }, plan.backend);
}

async function forUpload(context: AppContext, caller: ApiPrincipal, name: string): Promise<Claims> {
  const [owner, backend] = await Promise.all([
    ownerOf(context, caller.organizationId),
    findBackend(context, caller.organizationId, { name, id: "" }),
  ]);
  const claims = await materialClaims(context, owner, backend);
  await markUploads(context, backend);
  return claims;
}

async function forDownload(context: AppContext, caller: ApiPrincipal, asked: Download): Promise<Claims> {
  const digest = parseDigest(asked.digest);
  const fileName = parseFileName(asked.fileName);
  const [owner, backends] = await Promise.all([
    ownerOf(context, caller.organizationId),
    context.backends.list(caller.organizationId),
  ]);
  const claims = downloadClaims(owner, backends, digest);
  return fileName === undefined ? claims : { ...claims, fileName };
}

async function forService(context: AppContext, purpose: ServicePurpose): Promise<Claims> {
  const organizationId = parseUuid(purpose.organizationId, "REQUEST_INVALID", "organization_id");
  const role = parseEnum(casRoles, purpose.role, "role");
  const space = parseEnum(casSpaces, purpose.space, "space");
  if (purpose.maxBytes < 0n)
    throw new DomainError("REQUEST_INVALID", `max_bytes must be at least 0; came ${purpose.maxBytes}`);
  checkOneName(purpose.backendId, purpose.backendName);

  const owner = await ownerOf(context, organizationId);
  const isNamed = purpose.backendId !== "" || purpose.backendName !== "";
  // An upload goes to one backend, so without a name it is the default, whatever else there is.
  if (!isNamed && role !== "uploader") {
    return anyBackendClaims(owner, await context.backends.list(organizationId), role, space);
  }
  const backend = await findBackend(context, organizationId, { id: purpose.backendId, name: purpose.backendName });
  const claims = serviceClaims(owner, backend, { role, space, maxBytes: Number(purpose.maxBytes) });
  // Bundles are uploaded by workers, which probe a backend that fails them by themselves.
  if (role === "uploader" && space === "blobs") await context.validator.checkUsable(backend, owner.organization);
  if (role === "uploader") await markUploads(context, backend);
  return claims;
}

/** From the first token that lets somebody put blobs there, a backend is not deleted any more. */
async function markUploads(context: AppContext, backend: Backend): Promise<void> {
  if (backend.uploadsSince !== null || (await context.backends.markUploads(backend))) return;
  throw backendNotFound(backend.name);
}

async function materialClaims(context: AppContext, owner: Owner, backend: Backend): Promise<Claims> {
  const claims = uploadClaims(owner, backend);
  await context.validator.checkUsable(backend, owner.organization);
  return claims;
}

/** By id, by name, or the default. */
async function findBackend(
  context: AppContext,
  organizationId: string,
  by: { id: string; name: string },
): Promise<Backend> {
  if (by.id !== "") {
    const id = parseUuid(by.id, "REQUEST_INVALID", "backend_id");
    const found = await context.backends.find(organizationId, id);
    if (found === null) throw backendNotFound(id);
    return found;
  }
  const name = by.name === "" ? undefined : parseName(by.name, nameRule, "backend");
  const found =
    name === undefined
      ? await context.backends.findDefault(organizationId)
      : await context.backends.findByName(organizationId, name);
  if (found === null) throw backendNotFound(name ?? "that is the default");
  return found;
}

async function ownerOf(context: AppContext, organizationId: string): Promise<Owner> {
  const organization = await context.organizations.find(organizationId);
  if (organization === null) throw organizationNotFound(organizationId);
  return { organizationId, organization: organization.name, retention: organization.retention };
}

function uploader(call: HandlerContext): ApiPrincipal {
  const caller = client(call, "upload");
  if (caller.role !== "reader") return caller;
  throw new DomainError(
    "ROLE_INSUFFICIENT",
    "an upload needs an API token with at least the role ci; came one with the role reader",
    {
      metadata: { expected: "ci", actual: "reader" },
    },
  );
}

function client(call: HandlerContext, purpose: string): ApiPrincipal {
  const caller = principal(call);
  if (caller.kind === "api") return caller;
  throw new DomainError(
    "ROLE_INSUFFICIENT",
    `the purpose ${purpose} needs an API token; other services use the purpose service`,
  );
}

function checkService(call: HandlerContext): void {
  if (principal(call).kind === "service") return;
  throw new DomainError(
    "ROLE_INSUFFICIENT",
    "the purpose service needs the service token of another service; came an API token",
  );
}
