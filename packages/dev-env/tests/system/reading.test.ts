import { ErrorInfoSchema } from "@attestry/api/errors";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Constellation, startConstellation } from "../../src/constellation/index.ts";
import { type Clients, clientsOf, download, startRun } from "./clients.ts";
import { bundleOfSize, digestOf, fixture, uniqueBundle } from "./fixtures.ts";

let attestry: Constellation;
let clients: Clients;

beforeAll(async () => {
  attestry = await startConstellation({ shape: "one-process", backend: "inline" });
  clients = clientsOf(attestry, attestry.adminToken);
}, 60_000);
afterAll(() => attestry.stop());

async function store(name: string): Promise<string> {
  const runId = await startRun(clients);
  return (await clients.attestations.store({ runId, bundle: fixture(name) })).digest;
}

async function found(subjectDigest: string): Promise<string[]> {
  const { attestations } = await clients.attestations.list({ subjectDigest });
  return attestations.map(({ digest }) => digest);
}

describe("List by subject", () => {
  test("finds a statement whose predicate is a string, by subject and type (C02)", async () => {
    const digest = await store("C02-string-predicate.json");
    expect(await found("sha256:ecf27b18a93ad82008527153a0e848ba321d6d6ae0d24f4ad742a5fca136551e")).toEqual([digest]);
    const { attestations } = await clients.attestations.list({ predicateType: "https://spdx.dev/Document" });
    expect(attestations.map((attestation) => attestation.digest)).toEqual([digest]);
  });

  test("finds a commit without a name (C04)", async () => {
    const digest = await store("C04-git-commit.json");
    expect(await found("gitCommit:937702a2a5792a87248748194868818f34ecbcce")).toEqual([digest]);
  });

  test("gives an attestation once whose subject is repeated, also when it is stored twice at once (C05)", async () => {
    const runId = await startRun(clients);
    const bundle = fixture("C05-same-subject-twice.json");
    const stores = await Promise.all([1, 2].map(() => clients.attestations.store({ runId, bundle })));
    expect(new Set(stores.map(({ digest }) => digest))).toEqual(new Set([digestOf(bundle)]));
    expect(await found("sha256:13e5aff5d6f9d935e5c0928ce7e768ca140531e6a954fa0b26d1b937bcaea91f")).toEqual([
      digestOf(bundle),
    ]);
  });

  test("knows only the exact spelling of a field (C19)", async () => {
    const digest = await store("C19-two-spellings.json");
    expect(await found("sha256:d11d0eccc4a092eae71e57b1b84cfeb565475421f3716d21dfa24aa19d1e2089")).toEqual([digest]);
    expect(await found("sha256:55bf579f39af84ee46751283f315502fef3ad3f7e3834cec4740bce8b3bcf936")).toEqual([]);
  });
});

describe("bytes", () => {
  test("with and without a line end are two attestations; for one run the second is refused (C11)", async () => {
    const withEnd = fixture("C11-newline-at-end.json");
    const without = Buffer.from(withEnd.toString().trimEnd());
    expect(without.length).toBe(withEnd.length - 2);
    for (const bundle of [withEnd, without]) {
      const runId = await startRun(clients);
      const { digest } = await clients.attestations.store({ runId, bundle });
      expect(digest).toBe(digestOf(bundle));
      expect(Buffer.compare(await download(clients, digest), bundle)).toBe(0);
    }
    const runId = await startRun(clients);
    await clients.attestations.store({ runId, bundle: withEnd });
    await expect(clients.attestations.store({ runId, bundle: without })).rejects.toMatchObject({
      code: Code.AlreadyExists,
    });
  });

  test("of 6 MiB are stored; Get points to Download, which gives them (C21)", async () => {
    const bundle = bundleOfSize(6 * 1024 * 1024);
    const runId = await startRun(clients);
    const { digest } = await clients.attestations.store({ runId, bundle });
    const refused = await clients.attestations
      .get({ by: { case: "digest", value: digest } })
      .catch((error: unknown) => ConnectError.from(error));
    expect(refused).toMatchObject({ code: Code.ResourceExhausted });
    const error = refused as ConnectError;
    expect(error.message).toContain("Download");
    expect(error.findDetails(ErrorInfoSchema)[0]?.reason).toBe("BUNDLE_NEEDS_DOWNLOAD");
    expect(Buffer.compare(await download(clients, digest), bundle)).toBe(0);
  });

  test("of 32 MiB go in and out", async () => {
    const padded = Buffer.alloc(32 * 1024 * 1024, " ");
    fixture("C16-v01-no-checkpoint.json").copy(padded);
    const runId = await startRun(clients);
    const { digest } = await clients.attestations.store({ runId, bundle: padded });
    expect(Buffer.compare(await download(clients, digest), padded)).toBe(0);
  }, 30_000);
});

describe("pages", () => {
  test("give each attestation exactly once while others are stored; a cursor of other filters is refused (C52)", async () => {
    const mine = new Set<string>();
    for (let index = 0; index < 30; index++) {
      const runId = await startRun(clients, "paged");
      mine.add((await clients.attestations.store({ runId, bundle: uniqueBundle() })).digest);
    }
    for (const pageSize of [1, 7, 100]) {
      const seen: string[] = [];
      let pageToken = "";
      do {
        const page = await clients.attestations.list({ project: "shop", workflow: "paged", pageSize, pageToken });
        seen.push(...page.attestations.map(({ digest }) => digest));
        pageToken = page.nextPageToken;
        const runId = await startRun(clients, "paged");
        await clients.attestations.store({ runId, bundle: uniqueBundle() });
      } while (pageToken !== "");
      const once = seen.filter((digest) => mine.has(digest));
      expect(new Set(once).size).toBe(mine.size);
      expect(once).toHaveLength(mine.size);
    }
    const { nextPageToken } = await clients.attestations.list({ pageSize: 1 });
    const other = clients.attestations.list({ pageSize: 1, pageToken: nextPageToken, predicateType: "x" });
    await expect(other).rejects.toMatchObject({ code: Code.InvalidArgument });
  }, 30_000);
});
