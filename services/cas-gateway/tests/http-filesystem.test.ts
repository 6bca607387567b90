import { describe } from "@jest/globals";
import { httpAccessSuite } from "./http-access-suite.ts";
import { httpReadSuite } from "./http-read-suite.ts";
import { httpWriteSuite } from "./http-write-suite.ts";
import { folderStore } from "./stores.ts";

describe("HTTP reads from a folder", () => httpReadSuite(folderStore));
describe("HTTP writes into a folder", () => httpWriteSuite(folderStore));
describe("who reads over HTTP from a folder", () => httpAccessSuite(folderStore));
