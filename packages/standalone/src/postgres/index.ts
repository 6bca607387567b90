export { freePort, type PostgresOptions, type PostgresServer, startPostgres } from "./server.ts";
