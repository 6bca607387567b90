import { AttestationService } from "@attestry/api/ingest";
import {
  type BackendProvider,
  BackendService,
  OrganizationService,
  Role,
  RunService,
  StorageMode,
  TokenService,
} from "@attestry/api/run";
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Client, credentials, Metadata } from "@grpc/grpc-js";

/** A plain gRPC client, as any language has one: one HTTP/2 session to a server, an API token. */
export function openClient(url: string, token: string) {
  const client = new Client(new URL(url).host, credentials.createInsecure(), {
    "grpc-node.flow_control_window": 8 * 1024 * 1024,
    "grpc.use_local_subchannel_pool": 1,
  });
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);

  function call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    input: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        `/${method.parent.typeName}/${method.name}`,
        (message: MessageShape<I>) => {
          const bytes = toBinary(method.input, message);
          return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        },
        (bytes: Buffer) => fromBinary(method.output, bytes),
        create(method.input, input),
        metadata,
        { deadline: Date.now() + 60_000 },
        (error, output) => (error !== null || output === undefined ? reject(error) : resolve(output)),
      );
    });
  }
  return { call, close: () => client.close() };
}

export type BenchClient = ReturnType<typeof openClient>;

export type BenchMode = "database" | "database+upload" | "cas" | "spool";

const storageModes: Record<BenchMode, StorageMode> = {
  database: StorageMode.DATABASE,
  "database+upload": StorageMode.DATABASE,
  cas: StorageMode.CAS,
  spool: StorageMode.SPOOL,
};

/** An organization that stores in this mode, and a token for it. Its backend is inline for `database`, else external. */
export async function createOrganization(
  admin: BenchClient,
  runUrl: string,
  mode: BenchMode,
  external: { provider: BackendProvider; secretRef: string },
): Promise<string> {
  const name = `bench-${mode.replace("+", "-")}-${Date.now().toString(36)}`;
  await admin.call(OrganizationService.method.create, { name, storageMode: storageModes[mode] });
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

export async function createRun(client: BenchClient): Promise<string> {
  const { run } = await client.call(RunService.method.create, { project: "bench", workflow: "store" });
  if (run === undefined) throw new Error("no run was created");
  return run.id;
}

export const attestations = AttestationService.method;
