/** What is logged of an error. */
export interface LoggedError {
  type: string;
  message: string;
  code?: string | number;
  stack?: string;
  cause?: LoggedError;
  errors?: LoggedError[];
}

const deepest = 5;

/**
 * The fields of an error that may be logged, and those of what caused it. No others: clients of servers hang on their
 * errors what they were about to do, which may be to give a password (a command of ioredis), or the URL with one in it
 * (`input` of Node's ERR_INVALID_URL).
 */
export function loggedError(error: unknown, depth = 0): LoggedError {
  if (!(error instanceof Error)) return { type: typeof error, message: typeof error === "string" ? error : "" };
  const { message, stack, cause } = error;
  const { code, errors } = error as { code?: unknown; errors?: unknown };
  const isDeep = depth === deepest;
  return {
    type: error.constructor.name,
    message,
    ...((typeof code === "string" || typeof code === "number") && { code }),
    ...(stack !== undefined && { stack }),
    ...(cause !== undefined && cause !== null && !isDeep && { cause: loggedError(cause, depth + 1) }),
    ...(Array.isArray(errors) && !isDeep && { errors: errors.map((one) => loggedError(one, depth + 1)) }),
  };
}
