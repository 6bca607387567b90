import { Code, ConnectError } from "@connectrpc/connect";
import { expect } from "@jest/globals";

/** With what a call is refused: at once, in one line, and with no code that the command line tries again for minutes. */
export async function refused(call: Promise<unknown>): Promise<ConnectError> {
  const begun = performance.now();
  const error = ConnectError.from(
    await call.then(
      () => new Error("it was not refused"),
      (thrown: unknown) => thrown,
    ),
  );
  expect(error.rawMessage).not.toBe("it was not refused");
  expect([Code.Unavailable, Code.Internal, Code.DeadlineExceeded, Code.ResourceExhausted]).not.toContain(error.code);
  expect(performance.now() - begun).toBeLessThan(3_000);
  expect(error.rawMessage).not.toContain("\n");
  return error;
}
