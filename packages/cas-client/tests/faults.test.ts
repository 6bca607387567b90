import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "@jest/globals";
import { refusal } from "../../cli/tests/fake-server.ts";
import { mayPass, retryDelayOf } from "../src/faults.ts";

describe("what may pass", () => {
  test.each([
    ["an unavailable backend", refusal(Code.Unavailable, "BACKEND_UNAVAILABLE", "later", 5_000), true],
    ["a busy server", refusal(Code.ResourceExhausted, "STORE_BUSY", "later", 5_000), true],
    ["a limit", refusal(Code.ResourceExhausted, "MESSAGE_TOO_LARGE", "too large"), false],
    ["a cut stream", new ConnectError("protocol error: promised 9 bytes, got 3", Code.InvalidArgument), true],
    ["a reset", new ConnectError("http/2 stream closed with error code CANCEL (0x8)", Code.Canceled), true],
    [
      "calm",
      new ConnectError("http/2 stream closed with error code ENHANCE_YOUR_CALM (0xb)", Code.ResourceExhausted),
      true,
    ],
    ["an answer without a status", new ConnectError("protocol error: missing status", Code.Unknown), true],
    ["a lost connection", new ConnectError("read ECONNRESET", Code.Aborted), true],
    ["a write that something else ended", refusal(Code.InvalidArgument, "WRITE_UNFINISHED", "no end"), true],
    ["wrong bytes", refusal(Code.InvalidArgument, "DIGEST_MISMATCH", "wrong"), false],
    ["a refusal without a reason", new ConnectError("no", Code.InvalidArgument), false],
    ["a bug", refusal(Code.Internal, "INTERNAL", "a bug"), false],
    ["no permission", refusal(Code.PermissionDenied, "ROLE_INSUFFICIENT", "no"), false],
    ["data loss", refusal(Code.DataLoss, "BLOB_CORRUPT", "gone"), false],
    ["a fault of the source", new Error("the disk is gone"), false],
  ])("%s", (_what, error, expected) => expect(mayPass(error)).toBe(expected));

  test("the wait that a server asks for", () => {
    expect(retryDelayOf(refusal(Code.Unavailable, "X", "later", 250))).toBe(250);
    expect(retryDelayOf(new ConnectError("later", Code.Unavailable))).toBeUndefined();
  });
});
