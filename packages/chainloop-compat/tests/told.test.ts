import { ErrorInfoSchema } from "@attestry/api/errors";
import { connectErrorOf, DomainError, type Reason, reasons, retryAfterOf } from "@attestry/service-kit";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "@jest/globals";
import { told } from "../src/control-plane/told.ts";

/** The command line tries these again for minutes, whatever they say. */
const tried = new Set([Code.Unavailable, Code.Internal, Code.DeadlineExceeded]);

describe("what the command line is told", () => {
  test("it tries again what passes, and nothing that stays until somebody acts", () => {
    const triedAgain = Object.keys(reasons).filter((reason) =>
      tried.has(told(new DomainError(reason as Reason, "x")).code),
    );
    expect(triedAgain.toSorted()).toEqual([
      "BACKEND_UNAVAILABLE",
      "CAS_UNAVAILABLE",
      "DATABASE_UNAVAILABLE",
      "DEADLINE_EXCEEDED",
      "GC_UNDER_WAY",
      "INTERNAL",
      "ISSUER_UNAVAILABLE",
      "PEER_UNAVAILABLE",
      "RATE_LIMITED",
      "REVOCATIONS_UNKNOWN",
      "SHUTTING_DOWN",
      "STORE_BUSY",
    ]);
  });

  test.each<Reason>(["BACKEND_FULL", "BACKEND_INVALID", "VERIFIER_CRASHED", "BUNDLE_NEEDS_DOWNLOAD"])(
    "%s is final, and says no time to wait",
    (reason) => {
      const error = told(connectErrorOf(new DomainError(reason, "one line", { retryAfterMs: 1_000 })));
      expect([error.code, error.rawMessage]).toEqual([Code.FailedPrecondition, "one line"]);
      expect(retryAfterOf(error)).toBeUndefined();
      expect(error.findDetails(ErrorInfoSchema)[0]?.reason).toBe(reason);
    },
  );

  test("a contract of another project is named", () => {
    const metadata = { contract: "c", expected: "one", actual: "two" };
    expect(told(new DomainError("CONTRACT_NOT_FOUND", "of the project one only", { metadata })).rawMessage).toBe(
      "of the project one only",
    );
    expect(told(new DomainError("CONTRACT_NOT_FOUND", "no c", { metadata: { contract: "c" } })).rawMessage).toBe(
      "contract not found",
    );
  });
});
