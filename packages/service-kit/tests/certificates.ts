import { execFile } from "node:child_process";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { Authority, type Pair } from "../src/certificates/index.ts";

const dayMs = 86_400_000;

/** Certificates of an authority of the test's own, in a folder of its own. */
export class TestCertificates {
  readonly dir: string;
  readonly authority: Authority;
  readonly caFile: string;

  private constructor(dir: string, authority: Authority) {
    this.dir = dir;
    this.authority = authority;
    this.caFile = path.join(dir, "ca.pem");
  }

  static async create(name = "authority of the test"): Promise<TestCertificates> {
    const { authority } = await Authority.create(name);
    const made = new TestCertificates(await mkdtemp(path.join(os.tmpdir(), "attestry-certificates-")), authority);
    await writeFile(made.caFile, authority.cert);
    return made;
  }

  issue(options: { days?: number; from?: Date; names?: readonly string[] } = {}): Promise<Pair> {
    const { days = 2, names = ["localhost", "127.0.0.1", "::1"], ...rest } = options;
    return this.authority.issue({ names, until: new Date(Date.now() + days * dayMs), ...rest });
  }

  /** Writes a pair as NAME.pem and NAME-key.pem, the key first, each whole or not at all. */
  async write(name: string, pair: Pair): Promise<{ certFile: string; keyFile: string }> {
    const certFile = path.join(this.dir, `${name}.pem`);
    const keyFile = path.join(this.dir, `${name}-key.pem`);
    await replace(keyFile, pair.key);
    await replace(certFile, pair.cert);
    return { certFile, keyFile };
  }

  async issueFiles(name: string, options: Parameters<TestCertificates["issue"]>[0] = {}) {
    return this.write(name, await this.issue(options));
  }

  remove(): Promise<void> {
    return rm(this.dir, { recursive: true, force: true });
  }
}

async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}

/** Runs a program to its end, with what it is told on its standard input. */
export function run(
  command: string,
  args: readonly string[],
  input = "",
): Promise<{ code: number | string; output: string }> {
  return new Promise((resolve) => {
    const child = execFile(command, [...args], { timeout: 20_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : (error.code ?? error.signal ?? "?"), output: stdout + stderr });
    });
    child.stdin?.on("error", () => undefined).end(input);
  });
}
