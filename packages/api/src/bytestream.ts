// Package google.bytestream.
export * from "./gen/google/bytestream/bytestream_pb.ts";
