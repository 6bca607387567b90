/**
 * How Node is started for a service, here as in package.json and the Dockerfile. By default V8 collects all garbage
 * whenever 32 to 64 MiB of buffers were made since the last time, which is with every large blob; with this flag buffers count as
 * the rest of the heap does. Measured: 64 MiB through the gateway take half of the processor time.
 */
export const nodeFlags = ["--external-memory-accounted-in-global-limit"];
