import { WriteRequestSchema } from "@attestry/api/bytestream";
import { DomainError, fileNameBytes, safeFileName } from "@attestry/service-kit";
import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { type CasResource, formatCasResourceName, isCasResourceName, parseCasResourceName } from "../src/cas/index.ts";
import { recordedCasCalls } from "./cas-recording.ts";

const hex = "46c62330586ee6764a33be27c09700b33097ea914da7a70916b8bc2d6d7110c5";

/** Made by Go 1.24's encoding/gob: structs of the name CASResource unless it says otherwise. */
const madeByGo = {
  plain:
    "OX8DAQELQ0FTUmVzb3VyY2UB/4AAAQMBCEZpbGVOYW1lAQwAAQZEaWdlc3QBDAABBFNpemUBBAAAAF3/gAEOw7xuw68v8J+Tpi50eHQBQDQ2YzYyMzMwNTg2ZWU2NzY0YTMzYmUyN2MwOTcwMGIzMzA5N2VhOTE0ZGE3YTcwOTE2YjhiYzJkNmQ3MTEwYzUB+gIAAAAAAAA=",
  // Labels []byte; FileName; Public bool; Digest; Size; Media string; Ratio float64; Parts uint32; Wave complex128; Delta int
  newer:
    "/4H/gQMBAQtDQVNSZXNvdXJjZQH/ggABCgEGTGFiZWxzAQoAAQhGaWxlTmFtZQEMAAEGUHVibGljAQIAAQZEaWdlc3QBDAABBFNpemUBBAABBU1lZGlhAQwAAQVSYXRpbwEIAAEFUGFydHMBBgABBFdhdmUBDgABBURlbHRhAQQAAABv/4IBAwECAwEFYS50eHQBAQFANDZjNjIzMzA1ODZlZTY3NjRhMzNiZTI3YzA5NzAwYjMzMDk3ZWE5MTRkYTdhNzA5MTZiOGJjMmQ2ZDcxMTBjNQH/mgEKdGV4dC9wbGFpbgH++D8BCQH+8D9AAQUA",
  // Labels map[string]string besides
  map: "Rv+DAwEBC0NBU1Jlc291cmNlAf+EAAEEAQhGaWxlTmFtZQEMAAEGRGlnZXN0AQwAAQRTaXplAQQAAQZMYWJlbHMB/4YAAAAh/4UEAQERbWFwW3N0cmluZ11zdHJpbmcB/4YAAQwBDAAAVf+EAQVhLnR4dAFANDZjNjIzMzA1ODZlZTY3NjRhMzNiZTI3YzA5NzAwYjMzMDk3ZWE5MTRkYTdhNzA5MTZiOGJjMmQ2ZDcxMTBjNQH/mgEBAWEBYgA=",
  otherName:
    "K/+HAwEBBU90aGVyAf+IAAECAQhGaWxlTmFtZQEMAAEGRGlnZXN0AQwAAABM/4gBBWEudHh0AUA0NmM2MjMzMDU4NmVlNjc2NGEzM2JlMjdjMDk3MDBiMzMwOTdlYTkxNGRhN2E3MDkxNmI4YmMyZDZkNzExMGM1AA==",
  negativeSize:
    "Ov+JAwEBC0NBU1Jlc291cmNlAf+KAAEDAQhGaWxlTmFtZQEMAAEGRGlnZXN0AQwAAQRTaXplAQQAAABK/4oBAWEBQDQ2YzYyMzMwNTg2ZWU2NzY0YTMzYmUyN2MwOTcwMGIzMzA5N2VhOTE0ZGE3YTcwOTE2YjhiYzJkNmQ3MTEwYzUBAQA=",
  string: "CwwACGEgc3RyaW5n",
  // Digest []byte
  digestOfBytes:
    "Mf+LAwEBC0NBU1Jlc291cmNlAf+MAAECAQhGaWxlTmFtZQEMAAEGRGlnZXN0AQoAAABI/4wBAWEBQDQ2YzYyMzMwNTg2ZWU2NzY0YTMzYmUyN2MwOTcwMGIzMzA5N2VhOTE0ZGE3YTcwOTE2YjhiYzJkNmQ3MTEwYzUA",
};

const resources: fc.Arbitrary<CasResource> = fc.record({
  fileName: fc.string({ unit: "grapheme", maxLength: 60 }).filter((name) => Buffer.byteLength(name) <= fileNameBytes),
  hex: fc.string({ unit: fc.constantFrom(...Array.from("0123456789abcdef")), minLength: 64, maxLength: 64 }),
  sizeBytes: fc.option(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), { nil: undefined }),
});

/** What the refusal says was expected. */
function refused(name: string): string {
  try {
    return `was taken: ${JSON.stringify(parseCasResourceName(name))}`;
  } catch (fault) {
    if (!(fault instanceof DomainError)) throw fault;
    expect(fault.code).toBe("RESOURCE_NAME_INVALID");
    return String(fault.metadata?.expected);
  }
}

const plain = formatCasResourceName({ fileName: "a.txt", hex, sizeBytes: 300 });
/** The plain name with its bytes changed. */
const changed = (change: (bytes: Buffer) => Uint8Array) =>
  Buffer.from(change(Buffer.from(plain, "base64"))).toString("base64");
const replaced = (from: string, to: string, alsoFrom = "", alsoTo = "") =>
  changed((bytes) => Buffer.from(bytes.toString("latin1").replace(from, to).replace(alsoFrom, alsoTo), "latin1"));

describe("resource names of the chainloop client", () => {
  test("of every recorded upload are read, and written again as they were", () => {
    const calls = recordedCasCalls().filter(({ method }) => method.endsWith("ByteStream/Write"));
    const names = calls.flatMap(({ requests }) => requests.map((m) => fromBinary(WriteRequestSchema, m).resourceName));
    expect(names).toHaveLength(9);
    for (const name of names) {
      expect(isCasResourceName(name)).toBe(true);
      expect(formatCasResourceName(parseCasResourceName(name))).toBe(name);
    }
    const read = names.map(parseCasResourceName);
    expect(new Set(read.map(({ fileName }) => fileName))).toEqual(new Set(["rel.txt", "blob.bin"]));
    expect(read.every(({ sizeBytes }) => sizeBytes === undefined)).toBe(true);
  });

  test("are read as Go writes them, also of a struct with more fields", () => {
    const resource = { fileName: "ünï/📦.txt", hex, sizeBytes: 2 ** 40 };
    expect(parseCasResourceName(madeByGo.plain)).toEqual(resource);
    expect(formatCasResourceName(resource)).toBe(madeByGo.plain);
    expect(parseCasResourceName(madeByGo.newer)).toEqual({ fileName: "a.txt", hex, sizeBytes: 77 });
  });

  test.each([
    ["map", "fields of basic types"],
    ["otherName", "the type CASResource"],
    ["negativeSize", "a Size from 0 to 2^53 - 1"],
    ["string", "first the description of a type"],
    ["digestOfBytes", "Digest of the type 6"],
  ] as const)("are refused as Go writes them of another shape: %s", (made, expected) => {
    expect(refused(madeByGo[made])).toBe(expected);
  });

  test("leave out what is empty", () => {
    for (const resource of [
      { fileName: "", hex, sizeBytes: undefined },
      { fileName: "", hex, sizeBytes: 1 },
    ])
      expect(parseCasResourceName(formatCasResourceName(resource))).toEqual(resource);
  });

  test.each([
    ["no base64", "a b", "base64 with its padding"],
    ["no padding", plain.replace(/=+$/, ""), "base64 with its padding"],
    ["nothing", "", "the length of the type's message of 1 bytes"],
    ["a byte after it", changed((bytes) => Buffer.concat([bytes, Buffer.of(0)])), "nothing after the value's message"],
    ["no value", changed((bytes) => bytes.subarray(0, 58)), "the length of the value's message of 1 bytes"],
    [
      "a long file name",
      formatCasResourceName({ fileName: "a".repeat(1_025), hex, sizeBytes: undefined }),
      "a FileName of at most 1024 bytes",
    ],
    ["very many bytes", Buffer.alloc(6_000).toString("base64"), "at most 4096 characters"],
    ["a file name that is no UTF-8", replaced("a.txt", "a\xffbcd"), "FileName in UTF-8"],
    ["a digest in capitals", replaced(hex, hex.toUpperCase()), "a Digest of 64 lower-case hex digits"],
    [
      "no digest",
      formatCasResourceName({ fileName: "a", hex: "", sizeBytes: 5 }),
      "a Digest of 64 lower-case hex digits",
    ],
    [
      "a size beyond 2^53",
      formatCasResourceName({ fileName: "", hex, sizeBytes: 2 ** 60 }),
      "a Size from 0 to 2^53 - 1",
    ],
    [
      "two fields of one name",
      replaced("\x39\x7f", "\x37\x7f", "\x08FileName", "\x06Digest"),
      "fields of different names",
    ],
    ["a file name of another type", replaced("FileName\x01\x0c", "FileName\x01\x0a"), "FileName of the type 6"],
  ])("are refused with %s", (_what, name, expected) => {
    expect(refused(name)).toBe(expected);
  });

  test("of any file are read again as they were written", () => {
    fc.assert(
      fc.property(resources, (resource) => {
        expect(parseCasResourceName(formatCasResourceName(resource))).toEqual(resource);
      }),
    );
  });

  test("that are cut short are always refused", () => {
    fc.assert(
      fc.property(resources, fc.nat(), (resource, at) => {
        const bytes = Buffer.from(formatCasResourceName(resource), "base64");
        const cut = bytes.subarray(0, at % bytes.byteLength).toString("base64");
        expect(refused(cut)).not.toContain("was taken");
      }),
    );
  });

  test("with changed bytes are refused, or are another resource that is as good", () => {
    const change = fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) });
    fc.assert(
      fc.property(resources, fc.array(change, { minLength: 1, maxLength: 4 }), (resource, changes) => {
        const bytes = Buffer.from(formatCasResourceName(resource), "base64");
        for (const { at, byte } of changes) bytes[at % bytes.byteLength] = byte;
        const name = bytes.toString("base64");
        if (!refused(name).startsWith("was taken")) return;
        const taken = parseCasResourceName(name);
        expect(taken.hex).toMatch(/^[0-9a-f]{64}$/);
        expect(Buffer.byteLength(taken.fileName)).toBeLessThanOrEqual(fileNameBytes);
        expect(parseCasResourceName(formatCasResourceName(taken))).toEqual(taken);
      }),
      { numRuns: 2_000 },
    );
  });

  test("are never one of the Remote Execution API, and any bytes are refused or read, never worse", () => {
    const upload = fc.tuple(fc.uuid(), fc.nat()).map(([id, size]) => `uploads/${id}/blobs/${hex}/${size}`);
    fc.assert(fc.property(upload, (name) => expect(isCasResourceName(name)).toBe(false)));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(typeof refused(Buffer.from(bytes).toString("base64"))).toBe("string");
      }),
    );
  });
});

test.each([
  ["rel.txt", "rel.txt"],
  ["dir/ünï 📦.txt", "ünï 📦.txt"],
  ["C:\\dir\\a.txt", "a.txt"],
  ["../../etc/passwd", "passwd"],
  [".hidden", ".hidden"],
  ["..", undefined],
  ["a/..", undefined],
  ["dir/", undefined],
  ["", undefined],
  ["a\u001b[2Jb", undefined],
  [`dir/${"語".repeat(341)}.`, `${"語".repeat(341)}.`],
  [`${"語".repeat(341)}.a`, undefined],
])("of the file name %j, %j is kept", (name, kept) => {
  expect(safeFileName(name)).toBe(kept);
});
