// Package attestry.audit.v1: who did what to which resource.
export * from "./gen/attestry/audit/v1/audit_pb.ts";
