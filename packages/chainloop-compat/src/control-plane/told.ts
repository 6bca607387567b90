import { ErrorInfoSchema } from "@attestry/api/errors";
import { connectErrorOf, type Reason, reasonOf } from "@attestry/service-kit";
import { Code, ConnectError } from "@connectrpc/connect";

/** What the command line does with an error: it prints the message, and tries UNAVAILABLE, INTERNAL and DEADLINE_EXCEEDED again for minutes. */
interface Wording {
  code?: Code;
  message?: string;
}

const wordings: Partial<Record<Reason, Wording>> = {
  RUN_NOT_FOUND: { message: "workflow run not found" },
  WORKFLOW_NOT_FOUND: { message: "workflow not found" },
  // These pass, and this client waits only for the other code.
  STORE_BUSY: { code: Code.Unavailable },
  RATE_LIMITED: { code: Code.Unavailable },
  // It may pass, but not while a job waits for it.
  BACKEND_INVALID: { code: Code.FailedPrecondition },
  BACKEND_FULL: { code: Code.FailedPrecondition },
  VERIFIER_CRASHED: { code: Code.FailedPrecondition },
  // There is no other call for it here.
  BUNDLE_NEEDS_DOWNLOAD: { code: Code.FailedPrecondition },
  // The client takes this code for "sign with a key of your own".
  SIGNING_NOT_SET_UP: { code: Code.Unimplemented },
  BACKEND_INLINE: { code: Code.InvalidArgument },
};

/** An error of the native API as this client is to be told: in its own words where it has some, with a code that makes it do the right thing. */
export function told(error: unknown): ConnectError {
  const original = connectErrorOf(error);
  const reason = reasonOf(original);
  const wording = reason === "CONTRACT_NOT_FOUND" ? contractWording(original) : reason && wordings[reason];
  if (wording === undefined) return original;
  const { code = original.code, message = original.rawMessage } = wording;
  const worded = new ConnectError(message, code, original.metadata, undefined, original.cause);
  // Whoever is told not to try again is not told when to.
  worded.details = code === Code.FailedPrecondition ? original.details.filter(isErrorInfo) : original.details;
  return worded;
}

/** The contract of another project is there, and its message says so. */
function contractWording(error: ConnectError): Wording | undefined {
  const isOfOtherProject = error.findDetails(ErrorInfoSchema)[0]?.metadata.expected !== undefined;
  return isOfOtherProject ? undefined : { message: "contract not found" };
}

/** A detail to send, or one that came. */
function isErrorInfo(detail: ConnectError["details"][number]): boolean {
  return ("desc" in detail ? detail.desc.typeName : detail.type) === ErrorInfoSchema.typeName;
}

/** A refusal with a reason of the client's own, by which it decides what to do next. */
export function refusal(code: Code, message: string, reason: string): ConnectError {
  return new ConnectError(message, code, undefined, [
    { desc: ErrorInfoSchema, value: { reason, domain: "chainloop.dev", metadata: {} } },
  ]);
}
