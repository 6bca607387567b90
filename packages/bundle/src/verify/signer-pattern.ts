/** Who may have signed, as the certificate names them. An empty pattern matches every value. */
export type SignerPattern = {
  /** Of the subject alternative name. */
  subject: string;
  /** Of the OIDC issuer. */
  issuer: string;
};

/** Whether one of the patterns matches; no pattern at all lets every signer in. */
export function isSignerAllowed(patterns: readonly SignerPattern[], signer: string, issuer: string): boolean {
  return (
    patterns.length === 0 ||
    patterns.some((pattern) => matches(pattern.subject, signer) && matches(pattern.issuer, issuer))
  );
}

/**
 * Whether the whole text matches: `*` is any characters, also none; each other character is itself. Each piece between
 * stars is looked for once from left to right, so no pattern takes longer than pattern times text.
 */
function matches(pattern: string, text: string): boolean {
  if (pattern === "" || pattern === "*") {
    return true;
  }
  const [first = "", ...pieces] = pattern.split("*");
  const last = pieces.pop();
  if (last === undefined) {
    return text === pattern;
  }
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) {
    return false;
  }
  const end = text.length - last.length;
  let at = first.length;
  for (const piece of pieces) {
    const found = text.indexOf(piece, at);
    if (found === -1) {
      return false;
    }
    at = found + piece.length;
  }
  return at <= end;
}
