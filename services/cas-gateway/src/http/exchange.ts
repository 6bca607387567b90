import type { HttpCall, NodeRequest, NodeResponse } from "@attestry/service-kit";
import type { BlobUrl } from "./blob-url.ts";
import type { ClientWatch } from "./client-watch.ts";

/** A request for a blob, and all that its answer needs. */
export interface Exchange {
  request: NodeRequest;
  response: NodeResponse;
  url: BlobUrl;
  watch: ClientWatch;
  authenticate: HttpCall["authenticate"];
}
