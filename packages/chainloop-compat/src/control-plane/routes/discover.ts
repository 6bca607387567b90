import { DomainError } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type {
  ReferrerItem,
  ReferrerServiceDiscoverPrivateRequest,
  ReferrerServiceDiscoverPrivateResponseSchema,
} from "../../gen/controlplane/v1/referrer_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { findNode, holdersOf } from "../holders.ts";

const defaultPageSize = 20;
const largestPage = 20;

/**
 * What an attestation refers to, and which attestations refer to it, to a material or to a commit: as the native List
 * knows them. The pages are of the attestations that refer to it; what it refers to itself is on the first.
 */
export async function discover(
  context: ControlPlaneContext,
  { digest, kind, pagination, projectName, projectVersion }: ReferrerServiceDiscoverPrivateRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof ReferrerServiceDiscoverPrivateResponseSchema>> {
  if (projectVersion !== "" && projectName === "")
    throw new DomainError("REQUEST_INVALID", "project_version: expected a project_name with it, got none");
  const pageToken = pagination?.cursor ?? "";
  const pageSize = Math.min(pagination?.limit || defaultPageSize, largestPage);
  const { holders, nextPageToken } = await holdersOf(
    context,
    { digest, project: projectName, version: projectVersion, pageSize, pageToken },
    call,
  );
  const own = await findNode(context, { digest }, call);

  const nodes = new Map(holders.flatMap(({ references }) => references).map((node) => [node.kind, node]));
  if (own !== undefined) nodes.set(own.kind, own);
  const root = chosen(nodes, { digest, kind });
  const references = [
    ...(root === own && pageToken === "" ? own.references : []),
    ...holders.map((holder) => ({ ...holder, references: [] })),
  ];
  return { result: { ...root, references }, pagination: { nextCursor: nextPageToken } };
}

function chosen(
  nodes: ReadonlyMap<string, ReferrerItem>,
  { digest, kind }: { digest: string; kind: string },
): ReferrerItem {
  const found = kind === "" ? [...nodes.values()] : [nodes.get(kind)].filter((node) => node !== undefined);
  const [root, ...others] = found;
  if (root === undefined)
    throw new DomainError("ATTESTATION_NOT_FOUND", `artifact or piece of evidence with digest ${digest} not found`);
  if (others.length === 0) return root;
  const kinds = [...nodes.keys()].map((one) => JSON.stringify(one)).join(" ");
  throw new DomainError(
    "REQUEST_INVALID",
    `validation error: please provide the referrer kind: digest ${digest} present in ${nodes.size} kinds [${kinds}]`,
  );
}
