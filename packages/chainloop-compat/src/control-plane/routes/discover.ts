import { DomainError } from "@attestry/service-kit";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type ReferrerItem,
  ReferrerItemSchema,
  type ReferrerServiceDiscoverPrivateRequest,
  type ReferrerServiceDiscoverPrivateResponseSchema,
} from "../../gen/controlplane/v1/referrer_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { findNode, type HolderPage, holdersOf } from "../holders.ts";

const defaultPageSize = 20;
const largestPage = 20;
/** Pages that are looked through for one answer, where most have nothing of the asked kind or version. */
const mostPages = 10;

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
  const asked = { digest, project: projectName, version: projectVersion };
  const own = await findNode(context, asked, call);
  const nodes = new Map(own === undefined ? [] : [[own.kind, own]]);
  const pageSize = Math.min(pagination?.limit || defaultPageSize, largestPage);
  const firstToken = pagination?.cursor ?? "";
  let page: HolderPage = { holders: [], nextPageToken: firstToken };
  for (let pages = 0; pages === 0 || (page.nextPageToken !== "" && pages < mostPages); pages++) {
    page = await holdersOf(context, { ...asked, pageSize, pageToken: page.nextPageToken }, call);
    for (const node of page.holders.flatMap(({ references }) => references))
      if (!nodes.has(node.kind)) nodes.set(node.kind, node);
    page.holders = page.holders.filter((holder) => kind === "" || holdsAs(holder, kind));
    if (page.holders.length > 0) break;
  }
  const { holders, nextPageToken } = page;
  // There may be more on pages to come: who asks on finds it there.
  const root = chosen(nodes, { digest, kind }) ?? (nextPageToken === "" ? undefined : bareRoot(digest, kind));
  if (root === undefined)
    throw new DomainError("ATTESTATION_NOT_FOUND", `artifact or piece of evidence with digest ${digest} not found`);
  const references = [
    ...(root === own && firstToken === "" ? own.references : []),
    ...holders.map((holder) => ({ ...holder, references: [] })),
  ];
  return { result: { ...root, references }, pagination: { nextCursor: nextPageToken } };
}

/** What could not be looked into is not ruled out. */
function holdsAs({ references }: ReferrerItem, kind: string): boolean {
  return references.length === 0 || references.some((node) => node.kind === kind);
}

function bareRoot(digest: string, kind: string): ReferrerItem {
  return create(ReferrerItemSchema, { digest, kind });
}

function chosen(
  nodes: ReadonlyMap<string, ReferrerItem>,
  { digest, kind }: { digest: string; kind: string },
): ReferrerItem | undefined {
  const found = kind === "" ? [...nodes.values()] : [nodes.get(kind)].filter((node) => node !== undefined);
  const [root, ...others] = found;
  if (others.length === 0) return root;
  const kinds = [...nodes.keys()].map((one) => JSON.stringify(one)).join(" ");
  throw new DomainError(
    "REQUEST_INVALID",
    `validation error: please provide the referrer kind: digest ${digest} present in ${nodes.size} kinds [${kinds}]`,
  );
}
