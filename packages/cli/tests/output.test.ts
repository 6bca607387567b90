import { AttestationSchema, Mode, ModeSchema, UploadState } from "@attestry/api/ingest";
import { OrganizationSchema, RunSchema, RunState, RunStateSchema } from "@attestry/api/run";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "@jest/globals";
import { fieldsText, tableText } from "../src/output/output.ts";
import { enumValue, enumWord, enumWords, plain } from "../src/output/plain.ts";
import { printable } from "../src/output/printable.ts";

describe("plain JSON of messages", () => {
  test("enums are words, 64-bit integers are numbers, times are RFC 3339", () => {
    const attestation = create(AttestationSchema, {
      digest: "sha256:00",
      sizeBytes: 63_552n,
      mode: Mode.SPOOL,
      receivedAt: timestampFromDate(new Date("2026-11-24T10:00:00.120Z")),
      subjects: [{ name: "a", digests: { sha256: "ff" } }],
      uploads: [{ backendId: "b", state: UploadState.GIVEN_UP }],
    });
    expect(plain(AttestationSchema, attestation)).toMatchObject({
      digest: "sha256:00",
      sizeBytes: 63_552,
      mode: "spool",
      receivedAt: "2026-11-24T10:00:00.120Z",
      subjects: [{ name: "a", uri: "", digests: { sha256: "ff" } }],
      uploads: [{ backendId: "b", state: "given-up" }],
    });
  });

  test("every field is there; what is not set is null or empty", () => {
    expect(plain(RunSchema, create(RunSchema))).toMatchObject({ id: "", state: null, createdAt: null, jobUrl: "" });
    expect(plain(OrganizationSchema, create(OrganizationSchema))).toHaveProperty("storageMode", null);
  });

  test("words and values of enums", () => {
    expect(enumWords(ModeSchema)).toEqual(["database", "cas", "spool"]);
    expect(enumValue(RunStateSchema, "expired")).toBe(RunState.EXPIRED);
    expect(enumValue(RunStateSchema, "unspecified")).toBeUndefined();
    expect(enumWord(RunStateSchema, 99)).toBe("99");
  });
});

describe("tables", () => {
  const columns = [
    { head: "name", cell: (item: { name: string }) => item.name },
    { head: "length", cell: (item: { name: string }) => item.name.length },
  ];

  test("columns without borders or trailing blanks", () => {
    const text = tableText(columns, [{ name: "a" }, { name: "longer" }]);
    expect(text).toBe("NAME    LENGTH\na       1\nlonger  6\n");
  });

  test("an empty list says so", () => expect(tableText(columns, [], "no runs")).toBe("no runs\n"));

  test("fields on lines, with a mark for what is not set", () => {
    expect(fieldsText({ run: "1", reason: "", ready: true })).toBe("run     1\nreason  -\nready   yes\n");
  });

  test("text of others cannot steer the terminal", () => {
    expect(printable("a\u001b[2Jb\r\nc\u202ed")).toBe("a [2Jb c d");
    expect(fieldsText({ name: "x\u001b]0;owned\u0007" })).not.toContain("\u001b");
  });
});
