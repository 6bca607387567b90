import { type Attestation, AttestationSchema, ModeSchema, type Subject, UploadStateSchema } from "@attestry/api/ingest";
import { bytesCell, timeCell } from "./cells.ts";
import type { Cell, Column } from "./output.ts";
import { enumWord } from "./plain.ts";

/** The fields of an attestation in JSON output, for the help. */
export const attestationFields = AttestationSchema.fields.map(({ jsonName }) => jsonName).join(", ");

export const attestationColumns: Column<Attestation>[] = [
  { head: "digest", cell: ({ digest }) => digest },
  { head: "workflow", cell: ({ project, workflow }) => `${project}/${workflow}` },
  { head: "received", cell: ({ receivedAt }) => timeCell(receivedAt) },
  { head: "mode", cell: ({ mode }) => enumWord(ModeSchema, mode) },
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
    mode: enumWord(ModeSchema, attestation.mode),
    uploads: attestation.uploads.map(({ state }) => enumWord(UploadStateSchema, state)).join(", "),
  };
}

function subjectText({ name, uri, digests }: Subject): string {
  const named = name || uri;
  const values = Object.entries(digests).map(([algorithm, value]) => `${algorithm}:${value}`);
  return [named, ...values].filter((part) => part !== "").join(" ");
}
