export { type BlobCall, type BlobRef, type DescribedBlob, deleteBlob, describeBlob, findMissing } from "./blobs.ts";
export { type DownloadOptions, downloadBlob, readBlob } from "./download.ts";
export { BlobError, type BlobErrorCode } from "./error.ts";
export { type UploadOptions, uploadBlob } from "./upload.ts";
