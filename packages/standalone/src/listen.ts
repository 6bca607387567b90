import { createServer } from "node:net";
import { StartFailure } from "@attestry/data-dir";
import { type ListenAddress, parseListen } from "@attestry/service-kit";

/** Reads HOST:PORT. Throws StartFailure: ADDRESS_INVALID. */
export function readListenAddress(text: string): ListenAddress {
  try {
    return parseListen(text);
  } catch (cause) {
    const message = `the address to listen on must be HOST:PORT, such as 127.0.0.1:7700; came "${text}"`;
    throw new StartFailure("ADDRESS_INVALID", message, { cause });
  }
}

/**
 * Listens there for a moment, so that a port in use is known before anything is started. Throws StartFailure, which
 * tells to choose another by `setting`, a flag or a variable.
 */
export async function expectFree(listen: ListenAddress, setting = "--listen"): Promise<void> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject).listen(listen.port, listen.host, resolve);
    });
  } catch (error) {
    throw listenFailure(listen, error, setting);
  }
  await new Promise((resolve) => server.close(resolve));
}

/** Why nobody can listen there, as one line. */
export function listenFailure({ host, port }: ListenAddress, cause: unknown, setting = "--listen"): StartFailure {
  const where = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const { code } = cause as NodeJS.ErrnoException;
  switch (code) {
    case "EADDRINUSE":
      return new StartFailure(
        "PORT_IN_USE",
        `${where} is in use by another program (is Attestry running already?): stop it, or choose another with ${setting}${setting.startsWith("--") ? " " : "="}HOST:PORT`,
        { cause },
      );
    case "EACCES":
      return new StartFailure("ADDRESS_INVALID", `no permission to listen on ${where}: choose a port above 1023`, {
        cause,
      });
    default:
      return new StartFailure("ADDRESS_INVALID", `cannot listen on ${where}: ${(cause as Error).message}`, { cause });
  }
}
