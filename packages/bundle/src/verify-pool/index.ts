export { VerifyPoolError, type VerifyPoolErrorCode } from "./error.ts";
export type { Verification, VerifyResult, VerifyTask } from "./task.ts";
export { VerifyPool, type VerifyPoolOptions } from "./verify-pool.ts";
