import { isBareDigest, isCasResourceName, parseCasResourceName } from "@attestry/chainloop-compat/cas";
import { safeFileName } from "@attestry/service-kit";
import { type FileUploadName, type ResourceNames, reapiNames } from "../blobs/resource-name.ts";

const plain = { instance: undefined, compressor: "identity" } as const;

/** Those of the chainloop client besides those of the Remote Execution API; a name has the form of one of them alone. */
export const chainloopNames: ResourceNames = {
  read: (name) => (isBareDigest(name) ? { ...plain, hex: name, sizeBytes: undefined } : reapiNames.read(name)),
  write: (name) => (isCasResourceName(name) ? writeName(name) : reapiNames.write(name)),
};

function writeName(name: string): FileUploadName {
  const { hex, sizeBytes, fileName } = parseCasResourceName(name);
  return { ...plain, hex, sizeBytes, uploadId: undefined, fileName: safeFileName(fileName), offsetsOmitted: true };
}
