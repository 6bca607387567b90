import { ReferenceService } from "@attestry/api/ingest";
import { connectErrorOf, createLogger, DomainError } from "@attestry/service-kit";
import { createRouterTransport } from "@connectrpc/connect";
import { afterEach, describe, expect, test } from "@jest/globals";
import { blobKey } from "../src/blobs/key.ts";
import { References } from "../src/scrub/references.ts";
import { randomBlob, type TestBlob } from "./blobs.ts";
import { createWorld, handle, type World } from "./scrub-world.ts";

let world: World;
afterEach(() => world.destroy());

const { backend, refer, dereference, last } = handle(() => world);
const again = { config: { scrubPeriodMs: 1 } };

describe("a missing bundle", () => {
  test("is found by what refers to it, and repaired", async () => {
    world = await createWorld();
    const [here, gone, lost] = [randomBlob(10), randomBlob(20), randomBlob(30)];
    backend("one").put("bundles", here);
    backend("two").put("blobs", gone);
    refer("one", here, gone, lost);
    await world.pass();
    const pass = await last("one");
    expect(pass).toMatchObject({ corrupt: 0n, missing: 2n, repaired: 1n, blobsVerified: 1n });
    expect(new Map(pass.findings.map(({ digest, repaired }) => [digest, repaired]))).toEqual(
      new Map([
        [gone.digest, true],
        [lost.digest, false],
      ]),
    );
    expect(backend("one").bytesAt(blobKey("bundles", gone.hex))?.equals(gone.bytes)).toBe(true);
    expect(await last("two")).toMatchObject({ missing: 0n });
  });

  test("is one of many: all are counted, and the first 1,000 remembered", async () => {
    world = await createWorld(["one"]);
    refer("one", ...Array.from({ length: 1_005 }, () => randomBlob(20)));
    await world.pass();
    const { missing, findings } = await last("one");
    expect(missing).toBe(1_005n);
    expect(findings).toHaveLength(1_000);
    expect(new Set(findings.map(({ digest }) => digest)).size).toBe(1_000);
  });

  test("is none without references, nor with an attestation-ingest that has none to give", async () => {
    world = await createWorld(["one"]);
    refer("one", randomBlob(10));
    await world.pass({ references: undefined });
    expect(await last("one")).toMatchObject({ missing: 0n });
    const old = createRouterTransport(({ service }) =>
      service(ReferenceService, {
        listBundles: () => {
          throw connectErrorOf(new DomainError("METHOD_UNKNOWN", "no such method"));
        },
      }),
    );
    const logger = createLogger({ name: "cas-gateway", level: "silent" });
    await world.pass({ ...again, references: new References({ ingest: old, logger }) });
    expect(await last("one")).toMatchObject({ missing: 0n });
  });

  test("no alarm for one that is stored while the pass is under way, or stored anew", async () => {
    world = await createWorld(["one"]);
    const [fresh, renewed] = [randomBlob(10), randomBlob(20)];
    const renewedKey = backend("one").put("bundles", renewed);
    refer("one", renewed);
    // The listing is made first, then one is stored, and the other goes and comes back.
    world.peers.beforeReferences = (after) => {
      if (after !== "") return;
      backend("one").put("bundles", fresh);
      refer("one", fresh);
    };
    backend("one").beforeRead = (key) => {
      if (key !== renewedKey) return;
      backend("one").store.blobs.delete(key);
      let looks = 0;
      // Not there until it was found out that it is referred to.
      backend("one").beforeDescribe = () => {
        if (++looks === 3) backend("one").put("bundles", renewed);
      };
    };
    await world.pass();
    expect(backend("one").bytesAt(renewedKey)).toBeDefined();
    expect(await last("one")).toMatchObject({ missing: 0n, findings: [] });
  });

  test("no alarm for one that gc deleted since it was listed or referred to", async () => {
    world = await createWorld(["one"]);
    const blobs = [randomBlob(10), randomBlob(20)].sort((one, other) => (one.hex < other.hex ? -1 : 1));
    const [listed, referred] = blobs as [TestBlob, TestBlob];
    const key = backend("one").put("bundles", listed);
    refer("one", listed, referred);
    // Both lists are made; now gc takes the one, and the other is looked for in vain.
    backend("one").beforeRead = () => {
      backend("one").store.blobs.delete(key);
      backend("one").beforeDescribe = () => {
        dereference("one", listed);
        dereference("one", referred);
      };
    };
    await world.pass();
    expect(await last("one")).toMatchObject({ missing: 0n, findings: [] });
  });

  test("a blob that vanished since it was listed is no fault", async () => {
    world = await createWorld(["one"]);
    const key = backend("one").put("blobs", randomBlob(10));
    backend("one").beforeRead = () => {
      backend("one").store.blobs.delete(key);
    };
    await world.pass();
    expect(await last("one")).toMatchObject({ corrupt: 0n, missing: 0n, blobsVerified: 0n });
  });
});
