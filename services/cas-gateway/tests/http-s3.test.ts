import { describeWith } from "@attestry/dev-env";
import { httpAccessSuite } from "./http-access-suite.ts";
import { httpReadSuite } from "./http-read-suite.ts";
import { httpWriteSuite } from "./http-write-suite.ts";
import { bucketStore } from "./stores.ts";

describeWith(["minio"], "HTTP reads from a bucket", () => httpReadSuite(bucketStore));
describeWith(["minio"], "HTTP writes into a bucket", () => httpWriteSuite(bucketStore));
describeWith(["minio"], "who reads over HTTP from a bucket", () => httpAccessSuite(bucketStore));
