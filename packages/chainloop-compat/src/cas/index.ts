export {
  ResourceService,
  ResourceServiceDescribeRequestSchema,
  ResourceServiceDescribeResponseSchema,
} from "../gen/cas/v1/cas_pb.ts";
export {
  type CasResource,
  formatCasResourceName,
  isCasResourceName,
  parseCasResourceName,
} from "./resource-name.ts";
export {
  type DescribedBlob,
  type DescribedBlobs,
  isBareDigest,
  registerResourceService,
  resourceAccess,
} from "./resource-service.ts";
