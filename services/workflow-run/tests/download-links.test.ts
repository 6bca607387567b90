import { BackendProvider } from "@attestry/api/run";
import { readSettings } from "@attestry/service-kit";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { DownloadLinks } from "../src/backends/download-links.ts";
import { settings } from "../src/index.ts";
import { expectRefusal } from "./errors.ts";
import { type Harness, startHarness } from "./harness.ts";

const digest = `sha256:${"ab".repeat(32)}`;
const publicUrl = "https://files.example.test/cas";

let harness: Harness;
let organization: Awaited<ReturnType<Harness["organization"]>>;
beforeAll(async () => {
  harness = await startHarness({ casPublicUrl: publicUrl });
  organization = await harness.organization("links");
  const backend = { name: "a", provider: BackendProvider.FILESYSTEM, secretRef: "_shared/local" };
  await organization.admin.backends.create(backend);
});
afterAll(() => harness.stop());

function download(fileName: string) {
  const purpose = { case: "download", value: { digest, fileName } } as const;
  return organization.reader.credentials.issueCasToken({ purpose });
}

async function claims(token: string) {
  const { principal } = await harness.keyrings["cas-gateway"].verify(token);
  if (principal.kind !== "cas") throw new Error("expected a CAS token");
  return principal;
}

describe("a download's link", () => {
  test("leads to the gateway's address for the outside, with the token in it", async () => {
    const answer = await download("Bericht – 2026.pdf");
    expect(answer.url).toBe(`${publicUrl}/v1/blobs/${digest}?token=${answer.token}`);
    expect(await claims(answer.token)).toMatchObject({ digest, role: "downloader", fileName: "Bericht – 2026.pdf" });
    expect(
      timestampDate(answer.expiresAt ?? { seconds: 0n, nanos: 0, $typeName: "google.protobuf.Timestamp" }) > new Date(),
    ).toBe(true);
  });

  test("needs no file name", async () => {
    expect(await claims((await download("")).token)).not.toHaveProperty("fileName");
  });

  test.each([
    ["255 bytes", `${"ü".repeat(127)}x`],
    ["dots", "..a"],
    ["quotes", `a"b';%2F.txt`],
    ["a smile", "👩‍🚀.txt"],
  ])("takes a file name of %s", async (_what, fileName) => {
    expect(await claims((await download(fileName)).token)).toMatchObject({ fileName });
  });

  test.each([
    ["256 bytes", "ü".repeat(128)],
    ["a slash", "../etc/passwd"],
    ["a backslash", "a\\b"],
    ["a line end", "a\r\nSet-Cookie: x"],
    ["a zero byte", "a\0.txt"],
    ["a C1 control character", "a\u0085b"],
    ["a turn of direction", "photo\u202egpj.exe"],
    ["the folder itself", "."],
    ["the folder above", ".."],
  ])("refuses a file name with %s", async (_what, fileName) => {
    await expectRefusal(download(fileName), "InvalidArgument", "FILE_NAME_INVALID");
  });

  test("is not given for an upload", async () => {
    const answer = await organization.ci.credentials.issueCasToken({
      purpose: { case: "upload", value: { backend: "a" } },
    });
    expect(answer.url).toBe("");
  });

  test("is empty until the gateway's address is known", () => {
    const links = new DownloadLinks(undefined);
    expect(links.of(digest, "t")).toBe("");
    links.servedAt("http://127.0.0.1:7700");
    expect(links.of(digest, "t")).toBe(`http://127.0.0.1:7700/v1/blobs/${digest}?token=t`);
    const told = new DownloadLinks(publicUrl);
    told.servedAt("http://127.0.0.1:7700");
    expect(told.of(digest, "t")).toBe(`${publicUrl}/v1/blobs/${digest}?token=t`);
  });
});

describe("CAS_GATEWAY_PUBLIC_URL", () => {
  const read = (text: string) =>
    readSettings(settings, { ATTESTRY_SIGNING_KEY_FILE: "-", ATTESTRY_JWKS_FILE: "-", CAS_GATEWAY_PUBLIC_URL: text })
      .casPublicUrl;

  test.each([
    ["", undefined],
    ["https://cas.example.test", "https://cas.example.test"],
    ["https://cas.example.test/", "https://cas.example.test"],
    ["http://[::1]:7703/below/it//", "http://[::1]:7703/below/it"],
  ])("%j is read as %j", (text, expected) => {
    expect(read(text)).toBe(expected);
  });

  test.each([
    "cas.example.test",
    "ftp://cas.example.test",
    "https://u:p@cas.example.test",
    "https://x/?a=1",
    "https://x/#a",
    "https://x/?",
  ])("%j ends the start", (text) => {
    expect(() => read(text)).toThrow(/^CAS_GATEWAY_PUBLIC_URL must be an http or https URL/);
  });
});
