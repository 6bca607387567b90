import { describe, expect, test } from "@jest/globals";
import { parseMaxBytes, parsePrefix } from "../src/backends/backend.ts";
import { checkMayStore, checkMayUpload } from "../src/runs/lifecycle.ts";
import type { RunState } from "../src/runs/run.ts";

const mine = `sha256:${"ab".repeat(32)}`;
const theirs = `sha256:${"cd".repeat(32)}`;

/** The reason of what is thrown; OK if nothing is. */
function outcome(check: () => void): unknown {
  try {
    check();
    return "OK";
  } catch (error) {
    return (error as { code: unknown }).code;
  }
}

describe("a run in each state", () => {
  test.each<[RunState, string | null, string, string]>([
    ["initialized", null, "OK", "OK"],
    ["success", mine, "OK", "RUN_FINISHED"],
    ["success", theirs, "RUN_HAS_OTHER_ATTESTATION", "RUN_FINISHED"],
    ["cancelled", null, "RUN_CANCELLED", "RUN_CANCELLED"],
    ["error", null, "RUN_FAILED", "RUN_FAILED"],
    ["expired", null, "RUN_EXPIRED", "RUN_EXPIRED"],
  ])("%s with %s: a Store is %s, an upload %s", (state, attestationDigest, store, upload) => {
    const run = { id: "r", state, attestationDigest };
    expect(outcome(() => checkMayStore(run, mine))).toBe(store);
    expect(outcome(() => checkMayUpload(run))).toBe(upload);
  });
});

test("bounds of materials and prefixes", () => {
  expect([parseMaxBytes(0n, "inline"), parseMaxBytes(0n, "s3"), parseMaxBytes(7n, "s3")]).toEqual([
    512_000, 10_485_760, 7,
  ]);
  for (const prefix of ["", "a", "a/b", ".hidden/..x", "a-b_c.d"]) expect(parsePrefix(prefix, "s3")).toBe(prefix);
});

test.each(["blobs", "bundles", "corrupt", "data", "expired", "probes", "scrub", "uploads"])(
  "a prefix does not begin with the gateway's own folder %s",
  (folder) => {
    for (const prefix of [folder, `${folder}/acme`]) {
      expect(outcome(() => parsePrefix(prefix, "s3"))).toBe("PREFIX_INVALID");
      expect(outcome(() => parsePrefix(prefix, "filesystem"))).toBe("PREFIX_INVALID");
    }
    expect(() => parsePrefix(folder, "s3")).toThrow(/does not begin with .*where the gateway keeps what is its own/);
    for (const prefix of [`${folder}2`, `my-${folder}`, `acme/${folder}`])
      expect(parsePrefix(prefix, "s3")).toBe(prefix);
  },
);
