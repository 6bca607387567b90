import { accessSync, constants } from "node:fs";
import path from "node:path";

/** The servers that tests and `npm run dev` use beside PostgreSQL, which comes with npm. */
export type OptionalServer = "redis" | "minio";

const programs: Record<OptionalServer, { variable: string; program: string; howToGet: string }> = {
  redis: {
    variable: "ATTESTRY_REDIS_SERVER",
    program: "redis-server",
    howToGet: "apt-get install redis-server, or set ATTESTRY_REDIS_SERVER to its path",
  },
  minio: {
    variable: "ATTESTRY_MINIO",
    program: "minio",
    howToGet:
      "go install github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c and put it on PATH, or set ATTESTRY_MINIO to its path",
  },
};

/** One line that says how to get the server. */
export function howToGet(server: OptionalServer): string {
  return programs[server].howToGet;
}

/**
 * The path of a server's program: from its variable, or else on PATH; undefined if the machine has none.
 * Throws if the variable names what is no program.
 */
export function findProgram(server: OptionalServer): string | undefined {
  const { variable, program } = programs[server];
  const set = process.env[variable];
  if (set) {
    if (!isExecutable(set)) throw new Error(`${variable} names ${set}, which is no program`);
    return path.resolve(set);
  }
  return (process.env.PATH ?? "")
    .split(path.delimiter)
    .map((folder) => path.join(folder, program))
    .find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return path.isAbsolute(file) || file.includes(path.sep);
  } catch {
    return false;
  }
}
