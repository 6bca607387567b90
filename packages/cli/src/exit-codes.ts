/** Exit codes of the command; a script may rely on them. */
export const exitCodes = {
  ok: 0,
  /** The server refused the request or the bundle, or a local file could not be read or written. */
  refused: 1,
  usage: 2,
  notFound: 3,
  /** No token, a bad one, or one whose role does not suffice. */
  auth: 4,
  /** Not reachable, overloaded, or not done within the time given: trying again later may help. */
  unavailable: 5,
  /** What is stored, or what came, is not what its digest names. */
  corrupt: 6,
  interrupted: 130,
} as const;

export const exitCodesHelp = `
Exit codes:
  0  done
  1  refused by the server, or a local file could not be read or written
  2  wrong usage
  3  not found
  4  no token, a bad one, or one whose role does not suffice
  5  unavailable, or not done in time; trying again later may help
  6  stored bytes are missing or corrupt
  130  interrupted`;
