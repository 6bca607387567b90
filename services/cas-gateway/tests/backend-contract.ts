import { describe } from "@jest/globals";
import { basics } from "./contract/basics.ts";
import { corruptBlobs } from "./contract/corrupt-blobs.ts";
import { listing } from "./contract/listing.ts";
import { naming } from "./contract/naming.ts";
import { resuming } from "./contract/resuming.ts";
import { type BackendUnderTest, Subject } from "./contract/subject.ts";
import { sweeping } from "./contract/sweeping.ts";
import { unsized } from "./contract/unsized.ts";
import { writing } from "./contract/writing.ts";

export type { BackendUnderTest } from "./contract/subject.ts";

/**
 * What every backend must do, whatever it stores in; to be called within a `describe`:
 *
 *     describe("the s3 backend", () => {
 *       backendContract(startBucket);
 *     });
 *
 * `start` is called once, before the tests: it makes an empty store that is theirs alone (see BackendUnderTest: open,
 * leftovers, spoil, stop). Backends that `open` gave are closed by `stop`. Blobs are of 0 bytes to 20 MB; uploads of
 * 20,000,000 bytes that break off after 17,000,000 are expected to keep some of them, smaller ones need not.
 */
export function backendContract(start: () => Promise<BackendUnderTest>): void {
  const subject = new Subject(start);
  describe("reads and writes", () => basics(subject));
  describe("writes that go wrong", () => writing(subject));
  describe("writes of an unknown size", () => unsized(subject));
  describe("names of files", () => naming(subject));
  describe("uploads that are gone on with", () => resuming(subject));
  describe("corrupt blobs", () => corruptBlobs(subject));
  describe("listing", () => listing(subject));
  describe("sweeping", () => sweeping(subject));
}
