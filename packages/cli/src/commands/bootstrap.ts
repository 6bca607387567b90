import { type Command, Option } from "commander";
import { type CasSecret, createKeyFolders, writeSharedSecret } from "../bootstrap-files.ts";
import { CommandError, UsageError } from "../errors.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import { fieldsText, jsonText } from "../output/output.ts";
import { write } from "../output/write.ts";

interface BootstrapOptions {
  keysDir: string;
  secretsDir?: string;
  secretName: string;
  s3Endpoint?: string;
  s3Region: string;
  s3Bucket?: string;
  s3AccessKey?: string;
  s3SecretKey?: string;
  casDir?: string;
  output: string;
}

export function addBootstrapCommand(program: Command): void {
  const command = program
    .command("bootstrap")
    .summary("make the files that services need before they first start")
    .description(
      "Make the files that services need before they first start: their keys, a signing authority, and the secret of a CAS backend that " +
        "every organization may use. Existing keys are kept, so it may run before each start. Calls no server; the " +
        "first organization and token are made by `workflow-run bootstrap`.",
    )
    .requiredOption("--keys-dir <dir>", "folder of all keys; DIR/<service> has what that service alone is to see")
    .option("--secrets-dir <dir>", "folder of the CAS secrets, for cas-gateway alone")
    .option("--secret-name <name>", "the backend's secret reference will be _shared/NAME", "default")
    .option("--s3-endpoint <url>", "of MinIO or another S3")
    .option("--s3-region <region>", "its region", "us-east-1")
    .option("--s3-bucket <bucket>", "a bucket that exists")
    .addOption(new Option("--s3-access-key <key>", "its access key").env("ATTESTRY_S3_ACCESS_KEY"))
    .addOption(new Option("--s3-secret-key <key>", "its secret key").env("ATTESTRY_S3_SECRET_KEY"))
    .option("--cas-dir <dir>", "in place of S3: a folder of the gateway, absolute")
    .action((options: BootstrapOptions) => bootstrap(options));
  addExamples(
    addOutputOption(command, "{keysDir, secretRef (null without --secrets-dir), secretChanged}"),
    "attestry bootstrap --keys-dir /keys",
    "attestry bootstrap --keys-dir /keys --secrets-dir /secrets --s3-endpoint http://minio:9000 --s3-bucket attestry",
  );
}

async function bootstrap(options: BootstrapOptions): Promise<void> {
  const secret = options.secretsDir === undefined ? undefined : secretOf(options);
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(options.secretName)) {
    throw new UsageError(
      `--secret-name: expected lower-case letters, digits and '-', got ${JSON.stringify(options.secretName)}`,
    );
  }
  try {
    await createKeyFolders(options.keysDir);
    const secretChanged =
      secret !== undefined && (await writeSharedSecret(options.secretsDir ?? "", options.secretName, secret));
    const secretRef = secret === undefined ? null : `_shared/${options.secretName}`;
    const done = { keysDir: options.keysDir, secretRef, secretChanged };
    const fields = { keys: options.keysDir, "secret reference": secretRef, "secret changed": secretChanged };
    await write(process.stdout, options.output === "json" ? jsonText(done) : fieldsText(fields));
  } catch (cause) {
    throw new CommandError("FILE_UNWRITABLE", `cannot make the files: ${(cause as Error).message}`, { cause });
  }
}

function secretOf(options: BootstrapOptions): CasSecret {
  const { casDir, s3Endpoint, s3Region, s3Bucket, s3AccessKey, s3SecretKey } = options;
  if (casDir !== undefined) return { provider: "filesystem", path: casDir };
  if (!s3Endpoint || !s3Bucket || !s3AccessKey || !s3SecretKey) {
    throw new UsageError(
      "--secrets-dir needs --cas-dir, or --s3-endpoint and --s3-bucket with ATTESTRY_S3_ACCESS_KEY and ATTESTRY_S3_SECRET_KEY",
    );
  }
  return {
    provider: "s3",
    endpoint: s3Endpoint,
    region: s3Region,
    bucket: s3Bucket,
    accessKey: s3AccessKey,
    secretKey: s3SecretKey,
    pathStyle: true,
  };
}
