// C0, DEL and C1 controls, and what changes the direction of text: from a server, they could rewrite the terminal.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const controls = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]+/g;

/** Text of others on one line, safe for a terminal. */
export function printable(text: string): string {
  return text.replace(controls, " ").trim();
}
