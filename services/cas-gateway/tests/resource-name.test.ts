import { describe, expect, test } from "@jest/globals";
import { parseReadName, parseWriteName } from "../src/blobs/resource-name.ts";

const hex = "0123456789abcdef".repeat(4);
const uuid = "01930000-0000-7000-8000-0000000000aa";
const blob = { hex, sizeBytes: 42 };

describe("the name of a blob to read", () => {
  test.each([
    [`blobs/${hex}/42`, undefined],
    [`/blobs/${hex}/42`, undefined],
    [`blobs/sha256/${hex}/42`, undefined],
    [`main/blobs/${hex}/42`, "main"],
    [`main/blobs/sha256/${hex}/42`, "main"],
    [`sha256/blobs/${hex}/42`, "sha256"],
  ])("%s", (name, instance) => {
    expect(parseReadName(name)).toEqual({ instance, compressor: "identity", ...blob });
  });

  test.each([
    [`compressed-blobs/zstd/${hex}/42`, undefined],
    [`/compressed-blobs/zstd/${hex}/42`, undefined],
    [`main/compressed-blobs/zstd/sha256/${hex}/42`, "main"],
  ])("%s, compressed", (name, instance) => {
    expect(parseReadName(name)).toEqual({ instance, compressor: "zstd", ...blob });
  });

  test.each([
    ["", ""],
    ["blobs", ""],
    [`blobs/${hex}`, ""],
    [`blobs/${hex}/`, ""],
    [`blobs/${hex}/42/`, ""],
    [`blobs/${hex}/42/name`, "name"],
    [`blobs/${hex}/042`, "042"],
    [`blobs/${hex}/-1`, "-1"],
    [`blobs/${hex}/+1`, "+1"],
    [`blobs/${hex}/4e1`, "4e1"],
    [`blobs/${hex}/0x2a`, "0x2a"],
    [`blobs/${hex}/9007199254740992`, "9007199254740992"],
    [`blobs/${hex}/99999999999999999999`, "99999999999999999999"],
    [`blobs/${hex.toUpperCase()}/42`, hex.toUpperCase()],
    [`blobs/${hex.slice(1)}/42`, hex.slice(1)],
    [`blobs/${hex}0/42`, `${hex}0`],
    [`blobs/sha256:${hex}/42`, `sha256:${hex}`],
    [`blobs/blake3/${hex}/42`, "blake3"],
    [`blobs/sha512/${hex}/42`, "sha512"],
    [`blobs/sha256/sha256/${hex}/42`, "sha256"],
    [`blobs/../${hex}/42`, ".."],
    [`../blobs/${hex}/42`, ".."],
    [`Main/blobs/${hex}/42`, "Main"],
    [`a/b/blobs/${hex}/42`, "b"],
    [`//blobs/${hex}/42`, ""],
    [`uploads/${uuid}/blobs/${hex}/42`, "uploads"],
    [`compressed-blobs/${hex}/42`, hex],
    [`compressed-blobs/deflate/${hex}/42`, "deflate"],
    [`compressed-blobs/zstd/blake3/${hex}/42`, "blake3"],
    [`compressed-blobs/zstd/${hex}`, ""],
    [`compressed-blobs/zstd/${hex}/42/name`, "name"],
    [`blobs/${hex}/42\u0000`, "42\u0000"],
    [`blobs /${hex}/42`, "blobs "],
  ])("%j is refused", (name, segment) => {
    expect(() => parseReadName(name)).toThrow(
      expect.objectContaining({ code: "RESOURCE_NAME_INVALID", metadata: expect.objectContaining({ segment }) }),
    );
  });
});

describe("the name of a blob to write", () => {
  test.each([
    [`uploads/${uuid}/blobs/${hex}/42`, undefined],
    [`/uploads/${uuid}/blobs/${hex}/42`, undefined],
    [`uploads/${uuid.toUpperCase()}/blobs/${hex}/42`, undefined],
    [`uploads/${uuid}/blobs/sha256/${hex}/42`, undefined],
    [`uploads/${uuid}/blobs/${hex}/42/some/file name.txt`, undefined],
    [`main/uploads/${uuid}/blobs/${hex}/42`, "main"],
  ])("%s", (name, instance) => {
    expect(parseWriteName(name)).toEqual({ instance, compressor: "identity", uploadId: uuid, ...blob });
  });

  test.each([
    [`uploads/${uuid}/compressed-blobs/zstd/${hex}/42`, undefined],
    [`main/uploads/${uuid}/compressed-blobs/zstd/sha256/${hex}/42/some/file`, "main"],
  ])("%s, compressed", (name, instance) => {
    expect(parseWriteName(name)).toEqual({ instance, compressor: "zstd", uploadId: uuid, ...blob });
  });

  const encoded = (text: string) => Buffer.from(text).toString("base64url");
  test.each([
    [`attestry-name/${encoded("ünï 📦.txt")}`, "ünï 📦.txt"],
    [`attestry-name/${encoded("語".repeat(341))}`, "語".repeat(341)],
    [`attestry-name/${encoded("../../etc/passwd")}`, "passwd"],
    [`attestry-name/${encoded("a.txt")}/more`, "a.txt"],
    [`attestry-name/${encoded("..")}`, undefined],
    [`attestry-name/${encoded("a\u001b[2Jb")}`, undefined],
    [`attestry-name/${encoded("語".repeat(342))}`, undefined],
    ["attestry-name/a.txt", undefined],
    ["attestry-name/", undefined],
    ["attestry-name", undefined],
    [`other-name/${encoded("a.txt")}`, undefined],
  ])("with the metadata %s names the file %j", (metadata, fileName) => {
    for (const form of ["blobs", "compressed-blobs/zstd"])
      expect(parseWriteName(`uploads/${uuid}/${form}/${hex}/42/${metadata}`)).toMatchObject({ ...blob, fileName });
  });

  test.each([
    [`blobs/${hex}/42`, "blobs"],
    [`uploads/blobs/${hex}/42`, "blobs"],
    [`uploads/1/blobs/${hex}/42`, "1"],
    [`uploads/${uuid}/${hex}/42`, hex],
    [`uploads/${uuid}/blobs/blake3/${hex}/42`, "blake3"],
    [`uploads/${uuid}/compressed-blobs/brotli/${hex}/42`, "brotli"],
    [`compressed-blobs/zstd/${hex}/42`, "compressed-blobs"],
    [`compressed-blobs/uploads/${uuid}/blobs/${hex}/42`, "compressed-blobs"],
    [`uploads/${uuid}/blobs/${hex}`, ""],
    [`a/b/uploads/${uuid}/blobs/${hex}/42`, "b"],
  ])("%j is refused", (name, segment) => {
    expect(() => parseWriteName(name)).toThrow(
      expect.objectContaining({ code: "RESOURCE_NAME_INVALID", metadata: expect.objectContaining({ segment }) }),
    );
  });
});
