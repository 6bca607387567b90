export type StartFailureCode =
  | "ADDRESS_INVALID"
  | "CERTIFICATE_UNUSABLE"
  | "DATA_DIR_FOREIGN"
  | "DATA_DIR_LOCKED"
  | "DATA_DIR_NEWER"
  | "DATA_DIR_NOT_WRITABLE"
  | "PLAINTEXT_REFUSED"
  | "PORT_IN_USE"
  | "POSTGRES_CANNOT_START"
  | "POSTGRES_ROOT"
  | "POSTGRES_UNSUPPORTED";

/** Why the server cannot start or go on, as one line that the operator can act on; printed without a stack. */
export class StartFailure extends Error {
  override readonly name = "StartFailure";
  readonly code: StartFailureCode;

  constructor(code: StartFailureCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.code = code;
  }
}
