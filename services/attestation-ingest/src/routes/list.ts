import {
  type AttestationServiceListRequest,
  type AttestationServiceListResponse,
  AttestationServiceListResponseSchema,
} from "@attestry/api/ingest";
import { subjectKey } from "@attestry/bundle";
import { apiPrincipal, DomainError, firstIdAt, readPage } from "@attestry/service-kit";
import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import type { Context } from "../context.ts";
import { listAttestations } from "../db/listing.ts";
import { attestationMessage } from "./messages.ts";

/** AttestationService.List: attestations of the caller's organization, newest first, without their bundles. */
export async function list(
  context: Context,
  request: AttestationServiceListRequest,
  call: HandlerContext,
): Promise<AttestationServiceListResponse> {
  const { organizationId } = apiPrincipal(call);
  if (request.workflow !== "" && request.project === "") {
    throw new DomainError("REQUEST_INVALID", "the filter workflow needs the filter project; came the workflow alone");
  }
  const filters = {
    subject: keyFilter(request.subjectDigest, "subject_digest"),
    material: keyFilter(request.materialDigest, "material_digest"),
    predicateType: textFilter(request.predicateType, "predicate_type"),
    project: textFilter(request.project, "project"),
    workflow: textFilter(request.workflow, "workflow"),
    from: boundary(request.receivedAfter),
    below: boundary(request.receivedBefore),
  };
  const scope = { kind: "attestations", filters };
  const { subject, material, predicateType, project, workflow, from, below } = filters;
  const { rows, nextPageToken } = await readPage(request, scope, (lastId, limit) => {
    const belowId = lastId !== undefined && (below === undefined || lastId < below) ? lastId : below;
    const filter = {
      organizationId,
      ...(subject !== undefined && { subjectKey: subject }),
      ...(material !== undefined && { materialKey: material }),
      ...(predicateType !== undefined && { predicateType }),
      ...(project !== undefined && { project }),
      ...(workflow !== undefined && { workflow }),
      ...(from !== undefined && { fromId: from }),
      ...(belowId !== undefined && { belowId }),
    };
    return listAttestations(context.prisma, filter, limit);
  });
  return create(AttestationServiceListResponseSchema, { attestations: rows.map(attestationMessage), nextPageToken });
}

/** Undefined: it is not asked for. PostgreSQL takes no zero bytes, not even to compare with. Throws REQUEST_INVALID. */
function textFilter(text: string, what: string): string | undefined {
  if (text.includes("\0")) throw new DomainError("REQUEST_INVALID", `${what} must not contain zero bytes`);
  return text === "" ? undefined : text;
}

/** `<algorithm>:<value>` as it is indexed; undefined: it is not asked for. Throws DIGEST_INVALID. */
function keyFilter(digest: string, what: string): string | undefined {
  if (digest === "") return undefined;
  const colon = digest.indexOf(":");
  if (colon > 0 && colon < digest.length - 1 && !digest.includes("\0")) {
    return subjectKey(digest.slice(0, colon), digest.slice(colon + 1));
  }
  const actual = digest.slice(0, 80);
  throw new DomainError("DIGEST_INVALID", `${what} must be ALGORITHM:VALUE; came "${actual}"`, {
    metadata: { expected: "ALGORITHM:VALUE", actual },
  });
}

/** The least id received at or after the time: rows are kept by the millisecond. */
function boundary(time: Timestamp | undefined): string | undefined {
  return time && firstIdAt(Number(time.seconds) * 1000 + time.nanos / 1_000_000);
}
