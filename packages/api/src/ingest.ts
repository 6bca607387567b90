// Package attestry.ingest.v1: attestations and their uploads.
export * from "./gen/attestry/ingest/v1/attestation_pb.ts";
export * from "./gen/attestry/ingest/v1/audit_pb.ts";
export * from "./gen/attestry/ingest/v1/gc_pb.ts";
export * from "./gen/attestry/ingest/v1/migration_pb.ts";
export * from "./gen/attestry/ingest/v1/reference_pb.ts";
export * from "./gen/attestry/ingest/v1/upload_pb.ts";
