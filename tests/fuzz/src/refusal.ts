import { ErrorInfoSchema } from "@attestry/api/errors";
import { BUNDLE_ERROR_CODES, BundleError } from "@attestry/bundle";
import { connectErrorOf, DomainError, reasons, SettingError } from "@attestry/service-kit";
import type { ConnectError } from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";

/** A message that is logged and sent must not grow with what came. */
const longestMessage = 2_048;

/** The reason of an error of ours. Throws if it has none of the closed set, or is not fit to be told. */
export function refusalOf(error: unknown): string {
  if (error instanceof SettingError) {
    expectShort(error.message);
    return error.name;
  }
  if (!(error instanceof DomainError) && !(error instanceof BundleError)) {
    throw new Error("thrown without a reason of ours", { cause: error });
  }
  const known: readonly string[] = error instanceof BundleError ? BUNDLE_ERROR_CODES : Object.keys(reasons);
  if (!known.includes(error.code) || error.code === "INTERNAL" || error.code === "UNKNOWN") {
    throw new Error(`refused for ${error.code}`, { cause: error });
  }
  expectTold(connectErrorOf(error));
  return error.code;
}

function expectTold(error: ConnectError): void {
  for (const text of [error.rawMessage, ...metadataOf(error)]) {
    expectShort(text);
    if (!text.isWellFormed()) throw new Error(`half a character in an error: ${JSON.stringify(text.slice(0, 400))}`);
  }
  // Throws for half a character, which no header and no protobuf text can hold.
  setTrailerStatus(new Headers(), error);
}

function metadataOf(error: ConnectError): string[] {
  return error.findDetails(ErrorInfoSchema).flatMap(({ metadata }) => Object.values(metadata));
}

function expectShort(text: string): void {
  if (text.length > longestMessage) throw new Error(`an error of ${text.length} characters: ${text.slice(0, 200)}`);
}
