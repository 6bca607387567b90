import { describe } from "@jest/globals";
import { readSuite } from "./read-suite.ts";
import { reapiSuite } from "./reapi-suite.ts";
import { folderStore } from "./stores.ts";
import { writeSuite } from "./write-suite.ts";
import { wrongWriteSuite } from "./wrong-write-suite.ts";

describe("writes through the gateway into a folder", () => writeSuite(folderStore));
describe("writes that break the rules, through the gateway into a folder", () => wrongWriteSuite(folderStore));
describe("reads through the gateway from a folder", () => readSuite(folderStore));
describe("the gateway's other calls on a folder", () => reapiSuite(folderStore));
