// Package attestry.cas.v1: blobs, beside what the Remote Execution API offers.
export * from "./gen/attestry/cas/v1/blob_pb.ts";
export * from "./gen/attestry/cas/v1/scrub_pb.ts";
