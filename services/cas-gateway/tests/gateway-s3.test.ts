import { describeWith } from "@attestry/dev-env";
import { proofSuite } from "./proof-suite.ts";
import { readSuite } from "./read-suite.ts";
import { reapiSuite } from "./reapi-suite.ts";
import { resumeSuite } from "./resume-suite.ts";
import { bucketStore } from "./stores.ts";
import { streamsSuite } from "./streams-suite.ts";
import { writeSuite } from "./write-suite.ts";
import { wrongWriteSuite } from "./wrong-write-suite.ts";
import { zstdSuite } from "./zstd-suite.ts";

describeWith(["minio"], "writes through the gateway into a bucket", () => writeSuite(bucketStore));
describeWith(["minio"], "writes that break the rules, through the gateway into a bucket", () =>
  wrongWriteSuite(bucketStore),
);
describeWith(["minio"], "uploads that go on, through gateways on a bucket", () => resumeSuite(bucketStore));
describeWith(["minio"], "what lies in a bucket", () => proofSuite(bucketStore));
describeWith(["minio"], "reads through the gateway from a bucket", () => readSuite(bucketStore));
describeWith(["minio"], "compressed blobs through the gateway on a bucket", () => zstdSuite(bucketStore));
describeWith(["minio"], "the gateway's other calls on a bucket", () => reapiSuite(bucketStore));
describeWith(["minio"], "many streams through the gateway on a bucket", () => streamsSuite(bucketStore));
