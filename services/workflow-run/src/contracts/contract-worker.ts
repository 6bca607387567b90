import { type Parsed, parseContract } from "./parse-contract.ts";

/** What a thread of ContractReader does. */
export default function work(bytes: Uint8Array): Parsed {
  return parseContract(bytes);
}
