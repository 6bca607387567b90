// Package attestry.run.v1: organizations, workflows, runs, backends, tokens, trust.
export * from "./gen/attestry/run/v1/backend_pb.ts";
export * from "./gen/attestry/run/v1/credential_pb.ts";
export * from "./gen/attestry/run/v1/federation_pb.ts";
export * from "./gen/attestry/run/v1/organization_pb.ts";
export * from "./gen/attestry/run/v1/run_pb.ts";
export * from "./gen/attestry/run/v1/token_pb.ts";
export * from "./gen/attestry/run/v1/trust_pb.ts";
export * from "./gen/attestry/run/v1/workflow_pb.ts";
