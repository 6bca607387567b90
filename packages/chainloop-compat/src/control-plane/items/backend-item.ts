import { type Backend, BackendProvider, BackendStatus } from "@attestry/api/run";
import type { Role } from "@attestry/service-kit";
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

/** @param role Of whom it is shown to. */
export function backendItem(backend: Backend, role: Role): CASBackendItem {
  const { id, name, secretRef, provider, isDefault, maxBytes, createdAt, validatedAt, validationError } = backend;
  const isInline = provider === BackendProvider.INLINE;
  // The inline backend is always there: nobody has to validate it.
  const validated = validatedAt ?? (isInline ? createdAt : undefined);
  const changed = validated ?? createdAt;
  return create(CASBackendItemSchema, {
    ...{ id, name, isInline },
    // What is behind the reference only the gateway knows. Whoever may not list backends learns no names of secrets here.
    location: isInline || role === "admin" ? secretRef : name,
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
