import { BackendProvider, type CredentialServiceIssueCasTokenRequestSchema } from "@attestry/api/run";
import { apiPrincipal, DomainError } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type CASCredentialsServiceGetRequest,
  type CASCredentialsServiceGetResponseSchema,
  CASCredentialsServiceGetRequest_Role as Role,
} from "../../gen/controlplane/v1/cas_credentials_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { findDefaultBackend } from "../find-backend.ts";
import { backendItem } from "../items/backend-item.ts";
import { asCaller } from "../native.ts";

/** A CAS token outside of a run: to upload to the default backend, or to download from whichever has the digest. */
export async function getCasCredentials(
  { native }: ControlPlaneContext,
  request: CASCredentialsServiceGetRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof CASCredentialsServiceGetResponseSchema>> {
  const purpose = purposeOf(request);
  const backend = await findDefaultBackend(native, call);
  if (purpose.case === "upload" && backend.provider === BackendProvider.INLINE) {
    throw new DomainError("BACKEND_INLINE", "cannot upload or download artifacts from an inline CAS backend");
  }
  const { token } = await native.credentials.issueCasToken({ purpose }, asCaller(call));
  return { result: { token, backend: backendItem(backend, apiPrincipal(call).role) } };
}

type Purpose = NonNullable<MessageInitShape<typeof CredentialServiceIssueCasTokenRequestSchema>["purpose"]>;

function purposeOf({ role, digest }: CASCredentialsServiceGetRequest): Purpose {
  if (role === Role.UPLOADER) return { case: "upload", value: {} };
  if (role === Role.DOWNLOADER) return { case: "download", value: { digest } };
  throw new DomainError("REQUEST_INVALID", `role: expected DOWNLOADER or UPLOADER, got ${role}`);
}
