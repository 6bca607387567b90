import { describeWith } from "@attestry/dev-env";
import { readSuite } from "./read-suite.ts";
import { reapiSuite } from "./reapi-suite.ts";
import { bucketStore } from "./stores.ts";
import { writeSuite } from "./write-suite.ts";
import { wrongWriteSuite } from "./wrong-write-suite.ts";

describeWith(["minio"], "writes through the gateway into a bucket", () => writeSuite(bucketStore));
describeWith(["minio"], "writes that break the rules, through the gateway into a bucket", () =>
  wrongWriteSuite(bucketStore),
);
describeWith(["minio"], "reads through the gateway from a bucket", () => readSuite(bucketStore));
describeWith(["minio"], "the gateway's other calls on a bucket", () => reapiSuite(bucketStore));
