/**
 * The longest index key, in UTF-16 units. Even at 3 bytes each it fits a third of a PostgreSQL page, the most that one
 * entry of a btree may take.
 */
export const MAX_KEY_CHARACTERS = 512;

// Algorithms whose values are hexadecimal (in-toto/attestation, spec/v1/digest_set.md).
const HEX_ALGORITHMS: ReadonlySet<string> = new Set(
  (
    "sha256 sha224 sha384 sha512 sha512_224 sha512_256 sha3_224 sha3_256 sha3_384 sha3_512 shake128 shake256 " +
    "blake2b blake2s ripemd160 sm3 gost sha1 md5 dirHash dirHash1 gitCommit gitTree gitBlob gitTag"
  ).split(" "),
);
const HEX = /^[0-9A-Fa-f]+$/;

/**
 * The key by which a subject's digest is indexed and looked up: `<algorithm>:<value>`. A value in hexadecimal is folded
 * to lower case, which the spec asks for and not every producer writes, so that it is found in either case; the values
 * of other algorithms may depend on it and stay as they are. Algorithm names are exact.
 */
export function subjectKey(algorithm: string, value: string): string {
  return `${algorithm}:${HEX_ALGORITHMS.has(algorithm) && HEX.test(value) ? value.toLowerCase() : value}`;
}

/** Whether a database can index and keep it: not too long, and free of U+0000 and lone surrogates. */
export function isKey(key: string): boolean {
  return key.length <= MAX_KEY_CHARACTERS && !key.includes("\0") && key.isWellFormed();
}
