import { hostname } from "node:os";
import path from "node:path";
import type { CredentialServiceIssueCasTokenRequestSchema } from "@attestry/api/run";
import { uploadIdOf } from "@attestry/cas-client";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Context } from "../context.ts";
import { UsageError } from "../errors.ts";

type Purpose = NonNullable<MessageInitShape<typeof CredentialServiceIssueCasTokenRequestSchema>["purpose"]>;

export interface UploadTarget {
  run?: string;
  backend?: string;
}

/** Where an upload goes: to a run's backend, a named one or the default. Throws UsageError for both. */
export function uploadPurpose({ run, backend }: UploadTarget): Purpose {
  if (run !== undefined && backend !== undefined) throw new UsageError("give --run or --backend, not both");
  return run === undefined
    ? { case: "upload", value: { backend: backend ?? "" } }
    : { case: "uploadForRun", value: { runId: run } };
}

/** Gives CAS tokens: a new one for each attempt of a call, as it lives 5 minutes and attempts go on for longer. */
export class CasTokens {
  /** The backends that the last token names, in order. */
  backends: readonly string[] = [];
  readonly #context: Context;
  readonly #purpose: Purpose;

  constructor(context: Context, purpose: Purpose) {
    this.#context = context;
    this.#purpose = purpose;
  }

  readonly issue = async (): Promise<string> => {
    const answer = await this.#context.services.credentials.issueCasToken(
      { purpose: this.#purpose },
      this.#context.caller.options(),
    );
    this.backends = answer.backendNames;
    return answer.token;
  };
}

/** The same each time that this file of this machine is uploaded, so that a command that was killed goes on. */
export function uploadIdOfFile(digest: string, file: string): string {
  return uploadIdOf(digest, `${hostname()} ${path.resolve(file)}`);
}
