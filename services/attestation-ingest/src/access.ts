import {
  AttestationService,
  AuditService,
  GcService,
  MigrationService,
  ReferenceService,
  UploadService,
} from "@attestry/api/ingest";
import { type AccessTable, methodName } from "@attestry/service-kit";

/** Who may call each method. */
export const access: AccessTable = {
  [methodName(AttestationService.method.store)]: { api: "ci" },
  [methodName(AttestationService.method.get)]: { api: "reader" },
  [methodName(AttestationService.method.download)]: { api: "reader" },
  [methodName(AttestationService.method.list)]: { api: "reader" },
  [methodName(UploadService.method.list)]: { api: "reader" },
  [methodName(UploadService.method.retry)]: { api: "admin" },
  [methodName(GcService.method.list)]: { api: "admin" },
  [methodName(GcService.method.collect)]: { api: "admin" },
  [methodName(MigrationService.method.queue)]: { api: "admin" },
  [methodName(MigrationService.method.getProgress)]: { api: "admin" },
  [methodName(ReferenceService.method.listBundles)]: { services: ["cas-gateway"] },
  [methodName(AuditService.method.list)]: { api: "admin" },
};
