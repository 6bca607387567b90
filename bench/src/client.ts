import { AttestationService } from "@attestry/api/ingest";
import {
  type BackendProvider,
  BackendService,
  OrganizationService,
  Role,
  RunService,
  StorageMode,
  TokenService,
  VerificationMode,
} from "@attestry/api/run";
import { type GrpcClient, openClient } from "./grpc-client.ts";

export type BenchMode = "database" | "database+upload" | "cas" | "spool";

const storageModes: Record<BenchMode, StorageMode> = {
  database: StorageMode.DATABASE,
  "database+upload": StorageMode.DATABASE,
  cas: StorageMode.CAS,
  spool: StorageMode.SPOOL,
};

/** An organization that stores in this mode, verifying as a new one does unless told otherwise, and a token for it. Its backend is inline for `database`, else external. */
export async function createOrganization(
  admin: GrpcClient,
  runUrl: string,
  mode: BenchMode,
  external: { provider: BackendProvider; secretRef: string },
  verificationMode: VerificationMode = VerificationMode.UNSPECIFIED,
): Promise<string> {
  const name = `bench-${mode.replace("+", "-")}-${Date.now().toString(36)}`;
  await admin.call(OrganizationService.method.create, {
    ...{ name, verificationMode },
    storageMode: storageModes[mode],
  });
  const { secret } = await admin.call(TokenService.method.create, {
    name: "bench",
    role: Role.ADMIN,
    organization: name,
  });
  if (mode !== "database") {
    const client = openClient(runUrl, secret);
    await client.call(BackendService.method.create, { name: "external", ...external, isDefault: true });
    client.close();
  }
  return secret;
}

export async function createRun(client: GrpcClient): Promise<string> {
  const { run } = await client.call(RunService.method.create, { project: "bench", workflow: "store" });
  if (run === undefined) throw new Error("no run was created");
  return run.id;
}

export const attestations = AttestationService.method;
