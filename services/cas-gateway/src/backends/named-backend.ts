import { DomainError, type Reason } from "@attestry/service-kit";
import type { Backend } from "./backend.ts";

const ofTheBackend: ReadonlySet<Reason> = new Set([
  "BACKEND_UNAVAILABLE",
  "BACKEND_MISCONFIGURED",
  "BACKEND_FULL",
  "SECRET_INVALID",
]);

/** A fault of a backend with its name in front and in the metadata; any other error as it is. */
export function ofBackend(error: unknown, name: string): unknown {
  if (!(error instanceof DomainError) || !ofTheBackend.has(error.code) || error.metadata.backend !== undefined)
    return error;
  const { code, message, metadata, retryAfterMs, cause } = error;
  return new DomainError(code, `backend ${name}: ${message}`, {
    metadata: { ...metadata, backend: name },
    cause,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/**
 * The same backend; its faults say whose they are, as somebody who has several of them needs to know. The chunks of a
 * blob that is read are as they were: who reads them knows the name.
 */
export function namedBackend(backend: Backend, name: string): Backend {
  const told = <T>(outcome: Promise<T>): Promise<T> =>
    outcome.catch((error: unknown) => {
      throw ofBackend(error, name);
    });
  return {
    get notes() {
      return backend.notes;
    },
    describe: (...args) => told(backend.describe(...args)),
    sizes: (...args) => told(backend.sizes(...args)),
    fileName: (...args) => told(backend.fileName(...args)),
    read: (...args) => told(backend.read(...args)),
    write: (...args) => told(backend.write(...args)),
    committed: (...args) => told(backend.committed(...args)),
    hold: (...args) => told(backend.hold(...args)),
    delete: (...args) => told(backend.delete(...args)),
    expiry: (...args) => told(backend.expiry(...args)),
    setAside: (...args) => told(backend.setAside(...args)),
    sweep: (...args) => told(backend.sweep(...args)),
    async *list(folder, after, signal) {
      try {
        yield* backend.list(folder, after, signal);
      } catch (error) {
        throw ofBackend(error, name);
      }
    },
    close: () => backend.close(),
  };
}
