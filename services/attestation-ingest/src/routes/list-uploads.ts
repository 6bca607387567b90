import {
  UploadSchema,
  type UploadServiceListRequest,
  type UploadServiceListResponse,
  UploadServiceListResponseSchema,
  UploadState,
} from "@attestry/api/ingest";
import { apiPrincipal, DomainError, readPage } from "@attestry/service-kit";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import type { Context } from "../context.ts";
import type { ListedUpload, Listing } from "../db/uploads.ts";
import { uploadStateOf } from "./messages.ts";

const greatestId = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/** UploadService.List: uploads of the caller's organization, newest first; all but confirmed, or those of one state. */
export async function listUploads(
  context: Context,
  request: UploadServiceListRequest,
  call: HandlerContext,
): Promise<UploadServiceListResponse> {
  const { organizationId } = apiPrincipal(call);
  const listing = listingOf(request.state);
  const scope = { kind: "uploads", filters: { listing } };
  const { rows, nextPageToken } = await readPage(request, scope, (lastId = greatestId, limit) =>
    context.uploads.list(organizationId, listing, lastId, limit),
  );
  return create(UploadServiceListResponseSchema, { uploads: rows.map(uploadMessage), nextPageToken });
}

function listingOf(state: UploadState): Listing {
  switch (state) {
    case UploadState.UNSPECIFIED:
      return "unconfirmed";
    case UploadState.PENDING:
      return "pending";
    case UploadState.FAILING:
      return "failing";
    case UploadState.GIVEN_UP:
      return "given_up";
    case UploadState.CONFIRMED:
      return "confirmed";
    default:
      throw new DomainError("REQUEST_INVALID", `state must be one that an upload can have; came ${state}`);
  }
}

function uploadMessage(upload: ListedUpload) {
  return create(UploadSchema, {
    digest: upload.digest,
    runId: upload.runId,
    backendId: upload.backendId,
    sizeBytes: BigInt(upload.sizeBytes),
    state: uploadStateOf(upload.state),
    attempts: upload.attempts,
    nextAttemptAt: timestampFromDate(upload.nextAttemptAt),
    lastError: upload.lastError,
    createdAt: timestampFromDate(upload.createdAt),
    ...(upload.confirmedAt !== null && { confirmedAt: timestampFromDate(upload.confirmedAt) }),
  });
}
