/** What is read of texts and bundles that clients wrote. Answers are messages in bytes, since they may come from a thread. */
export type ReadingTask = { kind: "contract"; text: Uint8Array } | BundleTask;

export type BundleTask =
  | { kind: "attestation"; bundle: Uint8Array; evaluations: Uint8Array | undefined }
  | { kind: "referrers"; bundle: Uint8Array; digest: string; only: string | undefined }
  | { kind: "verification"; bundle: Uint8Array; authorities: readonly string[]; receivedAt: Date };

export interface ReadContract {
  /** In the text; empty if it has none. */
  name: string;
  description: string;
  /** CraftingSchema. */
  schema: Uint8Array;
  /** Why the client could not work by it; empty: it can. */
  problem: string;
}

export interface ReadAttestation {
  /** AttestationItem of what the bundle itself says, without its bytes. */
  item: Uint8Array;
  /** Digest in hex of the evaluations that the predicate only refers to; empty: it refers to none. */
  evaluationsRef: string;
}

export interface ReadVerification {
  verified: boolean;
  /** Empty: it is verified. */
  failureReason: string;
}

export interface Reading {
  contract: ReadContract;
  attestation: ReadAttestation;
  /** ReferrerItem of the attestation; its references are all, or `only` those of one digest. */
  referrers: Uint8Array;
  /** By the authorities, PEM with a chain in each; null: the bundle has no certificate to verify it by. */
  verification: ReadVerification | null;
}

/** A thread's error loses its class on the way. */
export type ReadingAnswer =
  | { read: Reading[keyof Reading] }
  | { refused: { code: string; message: string; metadata: Record<string, string> } };
