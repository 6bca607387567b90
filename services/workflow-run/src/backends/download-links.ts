/** Links that open one blob in a browser while their token lives, at the gateway's address for the outside. */
export class DownloadLinks {
  #base: string | undefined;

  /** @param base URL of cas-gateway as clients reach it, without a slash at its end; undefined: not known (yet) */
  constructor(base: string | undefined) {
    this.#base = base;
  }

  /** Where the gateway turned out to be served, unless an operator said where. */
  servedAt(url: string): void {
    this.#base ??= url;
  }

  /** The link; empty if the gateway's address is not known. */
  of(digest: string, token: string): string {
    return this.#base === undefined ? "" : `${this.#base}/v1/blobs/${digest}?token=${token}`;
  }
}
