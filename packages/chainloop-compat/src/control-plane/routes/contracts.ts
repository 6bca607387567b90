import type { Contract, ContractServiceGetResponse } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type {
  WorkflowContractServiceCreateRequest,
  WorkflowContractServiceCreateResponseSchema,
  WorkflowContractServiceDescribeRequest,
  WorkflowContractServiceDescribeResponseSchema,
  WorkflowContractServiceListRequest,
  WorkflowContractServiceListResponseSchema,
  WorkflowContractServiceUpdateRequest,
  WorkflowContractServiceUpdateResponseSchema,
} from "../../gen/controlplane/v1/workflow_contract_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { contractItem, contractRevisionItem } from "../items/contract-item.ts";
import { asCaller, given, type Native, unless } from "../native.ts";
import { agreedChange, agreedContract } from "./agreed-contract.ts";

const pageSize = 200;
/** The client asks for all in one answer. */
const mostContracts = 10_000;

export async function listContracts(
  { native }: ControlPlaneContext,
  _request: WorkflowContractServiceListRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof WorkflowContractServiceListResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const contracts: Contract[] = [];
  let pageToken = "";
  do {
    const page = await native.contracts.list({ pageSize, pageToken }, asCaller(call));
    contracts.push(...page.contracts);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && contracts.length < mostContracts);
  return { result: contracts.map((contract) => contractItem(contract, organizationId)) };
}

export async function createContract(
  context: ControlPlaneContext,
  { name, rawContract, description, projectReference }: WorkflowContractServiceCreateRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof WorkflowContractServiceCreateResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const asked = {
    ...(await agreedContract(context, { name, description, text: rawContract }, call)),
    text: rawContract,
    project: projectReference?.name ?? "",
  };
  const { contract } = await context.native.contracts.create(asked, asCaller(call));
  return { result: contractItem(given(contract, "the contract"), organizationId) };
}

export async function describeContract(
  { native, reader }: ControlPlaneContext,
  request: WorkflowContractServiceDescribeRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof WorkflowContractServiceDescribeResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const found = await native.contracts.get({ name: request.name, revision: request.revision }, asCaller(call));
  const contract = given(found.contract, "the contract");
  const revision = given(found.revision, "the contract's revision");
  return {
    result: {
      contract: contractItem(contract, organizationId),
      revision: contractRevisionItem(revision, await reader.contract(revision.text, call.signal), contract),
    },
  };
}

export async function updateContract(
  context: ControlPlaneContext,
  { name, rawContract, description }: WorkflowContractServiceUpdateRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof WorkflowContractServiceUpdateResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const { native, reader } = context;
  const asked = {
    ...(await agreedChange(context, { name, description, text: rawContract }, call)),
    ...(rawContract.length > 0 && { text: rawContract }),
  };
  const updated = await native.contracts.update(asked, asCaller(call));
  const contract = given(updated.contract, "the contract");
  const revision = given(updated.revision, "the contract's revision");
  return {
    result: {
      contract: contractItem(contract, organizationId),
      revision: contractRevisionItem(revision, await reader.contract(revision.text, call.signal), contract),
    },
  };
}

/** Undefined if there is none of that name. */
export async function findContract(
  native: Native,
  name: string,
  call: HandlerContext,
): Promise<ContractServiceGetResponse | undefined> {
  return native.contracts.get({ name }, asCaller(call)).catch(unless("CONTRACT_NOT_FOUND"));
}
