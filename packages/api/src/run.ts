// Package attestry.run.v1: organizations, workflows, contracts, runs, backends, tokens, trust, signing.
export * from "./gen/attestry/run/v1/backend_pb.ts";
export * from "./gen/attestry/run/v1/contract_pb.ts";
export * from "./gen/attestry/run/v1/crafting_state_pb.ts";
export * from "./gen/attestry/run/v1/credential_pb.ts";
export * from "./gen/attestry/run/v1/federation_pb.ts";
export * from "./gen/attestry/run/v1/organization_pb.ts";
export * from "./gen/attestry/run/v1/project_pb.ts";
export * from "./gen/attestry/run/v1/run_pb.ts";
export * from "./gen/attestry/run/v1/signing_pb.ts";
export * from "./gen/attestry/run/v1/token_pb.ts";
export * from "./gen/attestry/run/v1/trust_pb.ts";
export * from "./gen/attestry/run/v1/workflow_pb.ts";
