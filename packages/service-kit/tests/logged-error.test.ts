import { expect, test } from "@jest/globals";
import { loggedError } from "../src/observe/logged-error.ts";

test("of an error its kind, message, code, stack and causes are logged, and nothing that hangs on it", () => {
  const command = { name: "auth", args: ["a password"] };
  const cause = Object.assign(new TypeError("Invalid URL"), {
    code: "ERR_INVALID_URL",
    input: "redis://:a password@x",
  });
  const error = Object.assign(new Error("WRONGPASS", { cause }), { command, status: 7 });
  const logged = loggedError(error);
  expect(logged).toMatchObject({
    type: "Error",
    message: "WRONGPASS",
    stack: expect.stringContaining("logged-error.test.ts"),
    cause: { type: "TypeError", message: "Invalid URL", code: "ERR_INVALID_URL" },
  });
  expect(JSON.stringify(logged)).not.toContain("a password");
});

test("several at once are logged each, and no chain of causes without end", () => {
  const endless = new Error("endless");
  endless.cause = endless;
  const logged = loggedError(new AggregateError([new Error("one"), "two", endless], "several"));
  expect(logged.errors?.map(({ message }) => message)).toEqual(["one", "two", "endless"]);
  expect(JSON.stringify(logged).match(/"endless"/g)).toHaveLength(5);
});
