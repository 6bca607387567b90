import { connectErrorOf, DomainError } from "@attestry/service-kit";
import { describe, expect, test } from "@jest/globals";
import { casFault, heldBackFor, isCasFault } from "../src/cas-fault.ts";

describe("what a Store says when the gateway refuses", () => {
  test.each(["BACKEND_MISCONFIGURED", "SECRET_INVALID"] as const)(
    "%s stays what it is, with no time to try again, and the backend is still probed",
    (code) => {
      const refusal = connectErrorOf(new DomainError(code, "the folder answered EACCES: give rights"));
      expect(isCasFault(refusal)).toBe(true);
      expect(casFault(refusal, "the bundle could not be uploaded")).toMatchObject({
        code,
        message: "the bundle could not be uploaded: the folder answered EACCES: give rights",
        retryAfterMs: undefined,
      });
    },
  );

  test("a fault that passes is CAS_UNAVAILABLE", () => {
    const refusal = connectErrorOf(new DomainError("BACKEND_UNAVAILABLE", "away", { retryAfterMs: 1_000 }));
    expect(isCasFault(refusal)).toBe(true);
    expect(casFault(refusal, "no upload")).toMatchObject({ code: "CAS_UNAVAILABLE", message: "no upload: away" });
  });

  test.each(["RATE_LIMITED", "STORE_BUSY"] as const)(
    "%s stays what it is, with its time to try again, and says nothing bad of the backend",
    (code) => {
      for (const retryAfterMs of [750, 2_250]) {
        const own = new DomainError(code, "too many", { retryAfterMs });
        for (const refusal of [own, connectErrorOf(own)]) {
          expect(isCasFault(refusal)).toBe(false);
          expect(casFault(refusal, "no upload")).toBe(refusal);
          expect(heldBackFor(refusal)).toBe(retryAfterMs);
        }
      }
    },
  );

  test("a refusal of the bytes is no fault of the gateway's", () => {
    const refusal = connectErrorOf(new DomainError("DIGEST_MISMATCH", "other bytes"));
    expect(isCasFault(refusal)).toBe(false);
    expect(casFault(refusal, "no upload")).toBe(refusal);
    expect(heldBackFor(refusal)).toBeUndefined();
  });
});
