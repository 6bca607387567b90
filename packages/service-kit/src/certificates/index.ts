export { Authority, type Pair } from "./authority.ts";
export {
  type FormerAuthority,
  type IssuedCertificate,
  SigningAuthority,
  type SigningPair,
  signerOf,
} from "./signing-authority.ts";
export { createSigningAuthorityFiles, type SigningAuthorityFiles } from "./signing-authority-files.ts";
export { readSigningRequest } from "./signing-request.ts";
