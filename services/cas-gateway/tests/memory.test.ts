import { describe } from "@jest/globals";
import { backendContract } from "./backend-contract.ts";
import { startMemory } from "./memory-backend.ts";

describe("the memory backend", () => {
  backendContract(startMemory);
});
