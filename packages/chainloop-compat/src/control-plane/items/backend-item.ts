import { type Backend, BackendProvider, BackendStatus } from "@attestry/api/run";
import { create } from "@bufbuild/protobuf";
import {
  type CASBackendItem,
  CASBackendItemSchema,
  CASBackendItem_ValidationStatus as ValidationStatus,
} from "../../gen/controlplane/v1/cas_backend_pb.ts";

const providers: ReadonlyMap<BackendProvider, string> = new Map([
  [BackendProvider.UNSPECIFIED, ""],
  [BackendProvider.INLINE, "INLINE"],
  [BackendProvider.FILESYSTEM, "FILESYSTEM"],
  [BackendProvider.S3, "AWS-S3"],
]);

const statuses: ReadonlyMap<BackendStatus, ValidationStatus> = new Map([
  // Nothing was found against it yet.
  [BackendStatus.UNSPECIFIED, ValidationStatus.OK],
  [BackendStatus.VALID, ValidationStatus.OK],
  [BackendStatus.INVALID, ValidationStatus.INVALID],
]);

export function backendItem(backend: Backend): CASBackendItem {
  const { id, name, secretRef, provider, isDefault, maxBytes, createdAt, validatedAt, validationError } = backend;
  const isInline = provider === BackendProvider.INLINE;
  // The inline backend is always there: nobody has to validate it.
  const validated = validatedAt ?? (isInline ? createdAt : undefined);
  const changed = validated ?? createdAt;
  return create(CASBackendItemSchema, {
    ...{ id, name, isInline },
    // What is behind the reference only the gateway knows.
    location: secretRef,
    description: isInline ? "Embed artifacts content in the attestation" : "",
    provider: providers.get(provider) ?? "",
    default: isDefault,
    limits: { maxBytes },
    validationStatus: statuses.get(backend.status) ?? ValidationStatus.UNSPECIFIED,
    ...(validationError !== "" && { validationError }),
    ...(createdAt && { createdAt }),
    ...(validated && { validatedAt: validated }),
    ...(changed && { updatedAt: changed }),
  });
}
