import { timestampMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "@jest/globals";
import {
  byteSize,
  digestOrRun,
  duration,
  keyPrefix,
  positiveInteger,
  runId,
  secretRef,
  subjectDigest,
  time,
  workflowFilter,
  workflowName,
} from "../src/arguments.ts";

const hex = "ab".repeat(32);

describe("option values", () => {
  test.each([
    ["90s", 90_000],
    ["5m", 300_000],
    ["2h", 7_200_000],
    ["30d", 2_592_000_000],
    ["1w", 604_800_000],
    ["500ms", 500],
    ["45", 45_000],
    ["1.5h", 5_400_000],
  ])("duration %s", (text, milliseconds) => expect(duration(text)).toBe(milliseconds));

  test.each(["", "0", "-5s", "5 m", "5y", "1e3", "m", "99999999999x"])("no duration: %j", (text) => {
    expect(() => duration(text)).toThrow("Expected a duration");
  });

  test("a time is RFC 3339", () => {
    expect(timestampMs(time("2026-11-24"))).toBe(Date.UTC(2026, 10, 24));
    expect(timestampMs(time("2026-11-24T10:00:00Z"))).toBe(Date.UTC(2026, 10, 24, 10));
    expect(timestampMs(time("2026-11-24T10:00:00.250+02:00"))).toBe(Date.UTC(2026, 10, 24, 8) + 250);
  });

  test.each(["24h", "24h ago", "1d ago"])("or how long ago: %s", (text) => {
    expect(Math.abs(timestampMs(time(text)) - (Date.now() - 86_400_000))).toBeLessThan(5_000);
  });

  test.each(["", "yesterday", "24hago", "ago", "24 ago", "2026-13-40", "2026-11-24T10:00:00", "24", "1732442400"])(
    "no time: %j",
    (text) => {
      expect(() => time(text)).toThrow("Expected a time");
    },
  );

  test.each([
    ["1048576", 1_048_576n],
    ["500KB", 500_000n],
    ["10MB", 10_000_000n],
    ["10MiB", 10_485_760n],
    ["2GB", 2_000_000_000n],
  ])("bytes %s", (text, bytes) => expect(byteSize(text)).toBe(bytes));

  test.each(["", "-1", "1.5MB", "10mb", "10TB", "MB"])("no bytes: %j", (text) => {
    expect(() => byteSize(text)).toThrow("Expected bytes");
  });

  test.each(["0", "-1", "1.5", "ten", "99999999999999999999"])("no positive integer: %j", (text) => {
    expect(() => positiveInteger(text)).toThrow("Expected a whole number");
  });

  test("workflows", () => {
    expect(workflowName("web/release")).toEqual({ project: "web", workflow: "release" });
    expect(workflowFilter("web")).toEqual({ project: "web", workflow: "" });
    for (const text of ["web", "/x", "x/", "a/b/c", ""])
      expect(() => workflowName(text)).toThrow("Expected PROJECT/NAME");
  });

  test("a digest or a run", () => {
    expect(digestOrRun(`sha256:${hex}`)).toEqual({ case: "digest", value: `sha256:${hex}` });
    const id = "0198a6e0-7a52-7cc3-98b8-5d2d5a0c6f10";
    expect(digestOrRun(id)).toEqual({ case: "runId", value: id });
    for (const text of ["", hex, `sha256:${hex.toUpperCase()}`, `sha256:${hex}0`, `sha512:${hex}`, "0198a6e0"]) {
      expect(() => digestOrRun(text)).toThrow("Expected a run's UUID");
    }
  });

  test("ids, subjects, secrets and prefixes", () => {
    expect(() => runId("nope")).toThrow("Expected a run's UUID");
    expect(subjectDigest("gitCommit:a0cf")).toBe("gitCommit:a0cf");
    for (const text of ["", "a0cf", ":a0cf", "sha256:"]) expect(() => subjectDigest(text)).toThrow("ALGORITHM:VALUE");
    expect(secretRef("_shared/local")).toBe("_shared/local");
    for (const text of ["", "other/local", "Local", "_shared/"]) expect(() => secretRef(text)).toThrow("Expected NAME");
    expect(keyPrefix("a/b.c")).toBe("a/b.c");
    for (const text of ["/a", "a/", "a//b", "../a", "a b"]) expect(() => keyPrefix(text)).toThrow("Expected up to");
  });
});
