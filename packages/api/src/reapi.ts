// Package build.bazel.remote.execution.v2, the part of a CAS.
export * from "./gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
export * from "./gen/build/bazel/semver/semver_pb.ts";
