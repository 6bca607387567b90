import { availableParallelism } from "node:os";

// Node strips the types itself, so nothing is transformed; coverage and line numbers are those of the sources.
export default {
  testMatch: ["<rootDir>/{packages,services}/*/{src,tests}/**/*.test.ts", "<rootDir>/tests/*/*.test.ts"],
  transform: {},
  extensionsToTreatAsEsm: [".ts"],
  testEnvironment: "node",
  modulePathIgnorePatterns: ["/dist/", "/.attestry"],
  watchman: false,
  // Suites start servers and processes; a busy machine takes its time.
  testTimeout: 30_000,
  // Suites wait for servers more than they compute. With one worker they would run in the process that has to end.
  maxWorkers: Math.max(2, availableParallelism() - 1),
  // Between suites a worker with more is replaced. To free a heap of a gigabyte takes longer than the half second that
  // jest gives a worker to end before it speaks of leaks.
  workerIdleMemoryLimit: "400MB",
  // One PostgreSQL, Redis and MinIO for the whole run; a database, bucket or key prefix for each suite.
  globalSetup: "<rootDir>/packages/dev-env/src/jest/global-setup.ts",
  globalTeardown: "<rootDir>/packages/dev-env/src/jest/global-teardown.ts",
  reporters: ["default", "<rootDir>/packages/dev-env/src/jest/reporter.ts"],
};
