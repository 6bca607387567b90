import { DomainError } from "@attestry/service-kit";

const mostBytes = 255;
// Control characters, separators of lines and of paths, and what turns the direction of text (a `txt.exe` that shows
// as `exe.txt`).
const unfit = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}/\\\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

/** What a browser is to save a blob as; undefined if nothing was said. Throws FILE_NAME_INVALID. */
export function parseFileName(text: string): string | undefined {
  if (text === "") return undefined;
  const bytes = Buffer.byteLength(text);
  if (bytes <= mostBytes && !unfit.test(text) && text !== "." && text !== "..") return text;
  const expected = `a name of at most ${mostBytes} bytes without slashes, backslashes, control characters and marks of direction`;
  const actual = text.slice(0, 100);
  throw new DomainError(
    "FILE_NAME_INVALID",
    `file_name must be ${expected}; came ${JSON.stringify(actual)}, ${bytes} bytes`,
    { metadata: { expected, actual } },
  );
}
