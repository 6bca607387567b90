import type { AccessTable } from "@attestry/service-kit";

/** Who may call what. An API token acts in its organization's backends, in the key space of materials. */
export const access: AccessTable = {
  "google.bytestream.ByteStream/Write": { cas: ["uploader"], api: "ci" },
  "google.bytestream.ByteStream/QueryWriteStatus": { cas: ["uploader"], api: "ci" },
  "google.bytestream.ByteStream/Read": { cas: ["downloader", "manager"], api: "reader" },
  "build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs": {
    cas: ["uploader", "downloader", "manager"],
    api: "reader",
  },
  "build.bazel.remote.execution.v2.ContentAddressableStorage/BatchUpdateBlobs": { cas: ["uploader"], api: "ci" },
  "build.bazel.remote.execution.v2.ContentAddressableStorage/BatchReadBlobs": {
    cas: ["downloader", "manager"],
    api: "reader",
  },
  "build.bazel.remote.execution.v2.Capabilities/GetCapabilities": {
    cas: ["uploader", "downloader", "manager"],
    api: "reader",
  },
  "attestry.cas.v1.BlobService/Describe": { cas: ["uploader", "downloader", "manager"] },
  "attestry.cas.v1.BlobService/Delete": { cas: ["manager"] },
  "attestry.cas.v1.BlobService/ValidateBackend": { cas: ["manager"] },
  "attestry.cas.v1.ScrubService/GetReport": { cas: ["manager"], api: "admin" },
};
