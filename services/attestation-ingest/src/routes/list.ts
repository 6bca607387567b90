import {
  type AttestationServiceListRequest,
  type AttestationServiceListResponse,
  AttestationServiceListResponseSchema,
} from "@attestry/api/ingest";
import { subjectKey } from "@attestry/bundle";
import { apiPrincipal, DomainError, decodePageToken, encodePageToken, pageSize } from "@attestry/service-kit";
import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import type { Context } from "../context.ts";
import { listAttestations } from "../db/listing.ts";
import { firstIdAt } from "../ids.ts";
import { attestationMessage } from "./messages.ts";

/** AttestationService.List: attestations of the caller's organization, newest first, without their bundles. */
export async function list(
  context: Context,
  request: AttestationServiceListRequest,
  call: HandlerContext,
): Promise<AttestationServiceListResponse> {
  const { organizationId } = apiPrincipal(call);
  const limit = pageSize(request.pageSize);
  if (request.workflow !== "" && request.project === "") {
    throw new DomainError(
      "REQUEST_INVALID",
      `the filter workflow needs the filter project; came the workflow "${request.workflow}" alone`,
    );
  }
  const filters = {
    subject: request.subjectDigest === "" ? undefined : keyOf(request.subjectDigest),
    predicateType: request.predicateType || undefined,
    project: request.project || undefined,
    workflow: request.workflow || undefined,
    from: boundary(request.receivedAfter),
    below: boundary(request.receivedBefore),
  };
  const scope = { kind: "attestations", filters };
  const lastId = decodePageToken(request.pageToken, scope);

  const { subject, predicateType, project, workflow, from, below } = filters;
  const belowId = lastId !== undefined && (below === undefined || lastId < below) ? lastId : below;
  const rows = await listAttestations(
    context.prisma,
    {
      organizationId,
      ...(subject !== undefined && { subjectKey: subject }),
      ...(predicateType !== undefined && { predicateType }),
      ...(project !== undefined && { project }),
      ...(workflow !== undefined && { workflow }),
      ...(from !== undefined && { fromId: from }),
      ...(belowId !== undefined && { belowId }),
    },
    limit + 1,
  );

  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return create(AttestationServiceListResponseSchema, {
    attestations: page.map(attestationMessage),
    nextPageToken: rows.length > limit && last !== undefined ? encodePageToken(scope, last.id) : "",
  });
}

/** `<algorithm>:<value>` as it is indexed. Throws DIGEST_INVALID. */
function keyOf(subjectDigest: string): string {
  const colon = subjectDigest.indexOf(":");
  if (colon > 0 && colon < subjectDigest.length - 1 && !subjectDigest.includes("\0")) {
    return subjectKey(subjectDigest.slice(0, colon), subjectDigest.slice(colon + 1));
  }
  throw new DomainError(
    "DIGEST_INVALID",
    `subject_digest must be ALGORITHM:VALUE; came "${subjectDigest.slice(0, 80)}"`,
    {
      metadata: { expected: "ALGORITHM:VALUE", actual: subjectDigest.slice(0, 80) },
    },
  );
}

/** The least id received at or after the time: rows are kept by the millisecond. */
function boundary(time: Timestamp | undefined): string | undefined {
  return time && firstIdAt(Number(time.seconds) * 1000 + time.nanos / 1_000_000);
}
