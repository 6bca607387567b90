// Controls and line ends, and what changes the direction of text: from a server, they could rewrite the terminal.
const controls = /[\p{Cc}\p{Bidi_Control}\s]+/gu;

/** Text of others on one line, safe for a terminal. */
export function printable(text: string): string {
  return text.replace(controls, " ").trim();
}
