import type { Attestation, AttestationServiceDownloadResponse } from "@attestry/api/ingest";
import type { CallOptions } from "@connectrpc/connect";
import type { DigestOrRun } from "../arguments.ts";
import type { Context } from "../context.ts";
import { CommandError } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";
import { startProgress } from "../output/progress.ts";

/** A bundle on its way, and what is known about it. */
export interface Download {
  attestation: Attestation;
  /** The bytes as they come; whether they are the right ones is for the reader to check. */
  chunks: AsyncGenerator<Uint8Array, void, void>;
}

/**
 * Asks for an attestation with its bundle, of any size: the plain Get has the limit of one message. Throws CONTENT_CORRUPT
 * if what comes is not the attestation that was asked for.
 */
export async function openDownload(context: Context, by: DigestOrRun, call: CallOptions): Promise<Download> {
  const messages = context.services.attestations.download({ by }, call)[Symbol.asyncIterator]();
  const attestation = attestationOf(await messages.next(), by);
  return { attestation, chunks: chunksOf(messages, Number(attestation.sizeBytes)) };
}

/** The first message. */
function attestationOf(first: IteratorResult<AttestationServiceDownloadResponse>, by: DigestOrRun): Attestation {
  if (first.done || first.value.part.case !== "attestation")
    throw corrupt("the answer does not begin with an attestation");
  const attestation = first.value.part.value;
  const actual = by.case === "digest" ? attestation.digest : attestation.runId;
  if (actual !== by.value.toLowerCase()) throw corrupt(`asked for ${by.value}, got ${actual}`);
  return attestation;
}

async function* chunksOf(
  messages: AsyncIterator<AttestationServiceDownloadResponse>,
  sizeBytes: number,
): AsyncGenerator<Uint8Array, void, void> {
  const progress = startProgress("reading", sizeBytes);
  try {
    let received = 0;
    for (let next = await messages.next(); !next.done; next = await messages.next()) {
      if (next.value.part.case !== "chunk") continue;
      received += next.value.part.value.byteLength;
      progress.update(received);
      yield next.value.part.value;
    }
  } finally {
    progress.stop();
  }
}

function corrupt(message: string): CommandError {
  return new CommandError("CONTENT_CORRUPT", message, { exitCode: exitCodes.corrupt });
}
