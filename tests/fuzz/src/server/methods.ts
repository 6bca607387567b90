import { AuditService } from "@attestry/api/audit";
import { ByteStream } from "@attestry/api/bytestream";
import { BlobService, ScrubService } from "@attestry/api/cas";
import * as ingest from "@attestry/api/ingest";
import { Capabilities, ContentAddressableStorage } from "@attestry/api/reapi";
import * as run from "@attestry/api/run";
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { services as chainloop } from "../../../../packages/chainloop-compat/src/control-plane/access.ts";
import { isServed } from "./callers.ts";

const methodsOf = (service: DescService): DescMethod[] => service.methods;
/** Every method that is served; of two that are named alike, both. */
export const methods: readonly DescMethod[] = [
  ...[...Object.values(run), ...Object.values(ingest)].filter(isService),
  AuditService,
  ByteStream,
  ContentAddressableStorage,
  Capabilities,
  BlobService,
  ScrubService,
  ...chainloop,
]
  .flatMap(methodsOf)
  .filter(isServed);

function isService(value: unknown): value is DescService {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "service";
}
