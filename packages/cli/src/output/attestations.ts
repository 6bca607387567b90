import {
  type Attestation,
  AttestationSchema,
  ModeSchema,
  type Subject,
  UploadStateSchema,
  VerificationSchema,
} from "@attestry/api/ingest";
import type { DescMessage } from "@bufbuild/protobuf";
import { bytesCell, timeCell } from "./cells.ts";
import type { Cell, Column } from "./output.ts";
import { enumWord } from "./plain.ts";
import { signerCells, verificationCell } from "./verification.ts";

/** The fields of an attestation in JSON output, for the help. */
export const attestationFields = fieldsOf(AttestationSchema).replace(
  "verification",
  `verification: {${fieldsOf(VerificationSchema)}}`,
);

function fieldsOf({ fields }: DescMessage): string {
  return fields.map(({ jsonName }) => jsonName).join(", ");
}

export const attestationColumns: Column<Attestation>[] = [
  { head: "digest", cell: ({ digest }) => digest },
  { head: "workflow", cell: ({ project, workflow }) => `${project}/${workflow}` },
  { head: "received", cell: ({ receivedAt }) => timeCell(receivedAt) },
  { head: "mode", cell: ({ mode }) => enumWord(ModeSchema, mode) },
  { head: "verification", cell: ({ verification }) => verificationCell(verification) },
  { head: "bytes", cell: ({ sizeBytes }) => bytesCell(sizeBytes) },
  { head: "predicate type", cell: ({ predicateType }) => predicateType },
  { head: "run", cell: ({ runId }) => runId },
];

export function attestationCells(attestation: Attestation): Record<string, Cell> {
  return {
    digest: attestation.digest,
    bytes: bytesCell(attestation.sizeBytes),
    run: attestation.runId,
    workflow: `${attestation.project}/${attestation.workflow}`,
    "predicate type": attestation.predicateType,
    subjects: attestation.subjects.map(subjectText).join(", "),
    "media type": attestation.mediaType,
    received: timeCell(attestation.receivedAt),
    token: attestation.tokenId,
    mode: enumWord(ModeSchema, attestation.mode),
    verification: verificationCell(attestation.verification),
    ...signerCells(attestation.verification),
    uploads: attestation.uploads.map(({ state }) => enumWord(UploadStateSchema, state)).join(", "),
  };
}

function subjectText({ name, uri, digests }: Subject): string {
  const named = name || uri;
  const values = Object.entries(digests).map(([algorithm, value]) => `${algorithm}:${value}`);
  return [named, ...values].filter((part) => part !== "").join(" ");
}
