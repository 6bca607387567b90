import { describe, jest } from "@jest/globals";
import { bucketStore, folderStore } from "../../../services/cas-gateway/tests/stores.ts";
import { describeWith } from "../../dev-env/src/index.ts";
import { gatewaySuite } from "./gateway-suite.ts";

jest.setTimeout(60_000);

describe("with a gateway on a folder", () => gatewaySuite(folderStore));
describeWith(["minio"], "with a gateway on a bucket", () => gatewaySuite(bucketStore));
