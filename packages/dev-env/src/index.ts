export { freePort } from "@attestry/standalone/postgres";
export { longestTurn, watchedEventLoop } from "./event-loop.ts";
export { describeWith } from "./jest/describe-with.ts";
export { ensureBucket, type MinioAccess, type MinioServer, minioClient, type S3Secret, startMinio } from "./minio.ts";
export { nodeFlags } from "./node-flags.ts";
export { canMount, inOwnMounts } from "./own-mounts.ts";
export { type PostgresServer, startTestPostgres } from "./postgres.ts";
export { findProgram, howToGet, type OptionalServer } from "./programs.ts";
export { type RedisServer, startRedis, wipeRedis } from "./redis.ts";
export { shiftedClock } from "./shifted-clock.ts";
export { answersOk, type Spawned, spawnServer } from "./spawned.ts";
export { startTcpBalancer, type TcpBalancer } from "./tcp-balancer.ts";
export { startTcpProxy, type TcpProxy, type Treatment } from "./tcp-proxy.ts";
export {
  createTestBucket,
  createTestDatabase,
  hasServer,
  type TestDatabase,
  testMinio,
  testRedis,
} from "./test-servers.ts";
