// Before whatever loads protobuf-es.
import "./native-base64.ts";

export { type AccessRule, type AccessTable, authorize, methodName } from "./auth/access.ts";
export { type Authenticator, createAuthenticator } from "./auth/authenticator.ts";
export { createKeyFiles, type KeyFiles } from "./auth/key-files.ts";
export { type ApiTokenClaims, Keyring } from "./auth/keyring.ts";
export {
  type ApiPrincipal,
  apiPrincipal,
  type CasBackend,
  type CasPrincipal,
  type CasRole,
  type CasSpace,
  casPrincipal,
  type Principal,
  principal,
  type RetentionBounds,
  type Role,
  type ServiceName,
  type ServicePrincipal,
} from "./auth/principal.ts";
export { reportTokenUses } from "./auth/report-token-uses.ts";
export { Revocations, type RevokedPage } from "./auth/revocations.ts";
export { type TokenUse, TokenUses, type TokenUsesOptions } from "./auth/token-uses.ts";
export { createInProcessTransport } from "./client/in-process-transport.ts";
export type { PeerIdentity } from "./client/peer-transport.ts";
export { Peers } from "./client/peers.ts";
export { createServiceTransport, type ServiceTransport } from "./client/service-transport.ts";
export { connectErrorOf, reasonOf, retryAfterOf } from "./errors/connect-error.ts";
export { databaseFault } from "./errors/database-fault.ts";
export { DomainError, type DomainErrorOptions } from "./errors/domain-error.ts";
export { type Reason, reasons } from "./errors/reasons.ts";
export { fileNameBytes, safeFileName } from "./file-name.ts";
export { firstIdAt, isUuid, parseUuid, timeOfId, uuidv7 } from "./ids.ts";
export { type BatchOptions, inBatches } from "./in-batches.ts";
export { createClockReport } from "./observe/clock-report.ts";
export { createLogger, type Logger } from "./observe/logger.ts";
export { createMetrics } from "./observe/metrics.ts";
export { decodePageToken, encodePageToken, type PageRequest, type PageScope, pageSize, readPage } from "./paging.ts";
export { Periodic, type PeriodicOptions } from "./periodic.ts";
export { connectRedis } from "./redis.ts";
export { type BodyPace, tooSlow } from "./server/body-pace.ts";
export { reportCrashes } from "./server/crash.ts";
export { isLoopback } from "./server/loopback.ts";
export type { HttpCall, HttpRoute, ServiceModule } from "./server/module.ts";
export { requestBody } from "./server/request-body.ts";
export type { NodeRequest, NodeResponse } from "./server/rpc-handler.ts";
export { runMain } from "./server/run-main.ts";
export { runService } from "./server/run-service.ts";
export { type RunningServer, type ServingLimits, serve } from "./server/serve.ts";
export { serverTlsOf, type TransportConfig, transportSettings } from "./server/settings.ts";
export {
  type ListenAddress,
  parseListen,
  readSettings,
  type Setting,
  SettingError,
  type Settings,
  setting,
  type Values,
} from "./setting.ts";
export { chainloopSetting, commonSettings, deletesSetting } from "./settings.ts";
export { parseTime } from "./timestamp.ts";
export { type CertificateFiles, readCertificates } from "./tls/certificate-files.ts";
export type { ServerTls } from "./tls/secure-server.ts";
