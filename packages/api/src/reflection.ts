// Packages grpc.reflection.v1 and v1alpha: the same messages under two names.
export * from "./gen/grpc/reflection/v1/reflection_pb.ts";
export { ServerReflection as ServerReflectionV1Alpha } from "./gen/grpc/reflection/v1alpha/reflection_pb.ts";
