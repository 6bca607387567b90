import { ErrorInfoSchema, RetryInfoSchema } from "@attestry/api/errors";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect } from "@jest/globals";

/** Awaits a refusal and returns what a client can tell of it. */
export async function refusal(call: Promise<unknown>) {
  const error = await call.then(
    () => new Error("expected a refusal; the call succeeded"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ConnectError)) throw error;
  const info = error.findDetails(ErrorInfoSchema)[0];
  const retry = error.findDetails(RetryInfoSchema)[0] !== undefined;
  return { code: Code[error.code], reason: info?.reason, domain: info?.domain, message: error.rawMessage, retry };
}

export async function expectRefusal(call: Promise<unknown>, code: keyof typeof Code, reason: string): Promise<void> {
  expect(await refusal(call)).toMatchObject({ code, reason, domain: "attestry.dev" });
}
