import { describe } from "@jest/globals";
import { proofSuite } from "./proof-suite.ts";
import { readSuite } from "./read-suite.ts";
import { reapiSuite } from "./reapi-suite.ts";
import { resumeSuite } from "./resume-suite.ts";
import { folderStore } from "./stores.ts";
import { streamsSuite } from "./streams-suite.ts";
import { writeSuite } from "./write-suite.ts";
import { wrongWriteSuite } from "./wrong-write-suite.ts";
import { zstdSuite } from "./zstd-suite.ts";

describe("writes through the gateway into a folder", () => writeSuite(folderStore));
describe("writes that break the rules, through the gateway into a folder", () => wrongWriteSuite(folderStore));
describe("uploads that go on, through gateways on a folder", () => resumeSuite(folderStore));
describe("what lies in a folder", () => proofSuite(folderStore));
describe("reads through the gateway from a folder", () => readSuite(folderStore));
describe("compressed blobs through the gateway on a folder", () => zstdSuite(folderStore));
describe("the gateway's other calls on a folder", () => reapiSuite(folderStore));
describe("many streams through the gateway on a folder", () => streamsSuite(folderStore));
