import { randomUUID } from "node:crypto";
import { createTestDatabase } from "@attestry/dev-env";
import pg from "pg";

/** The schema of a year: bundles were in `bundles`, then in `attestations`, and columns came along. */
export type ChainloopVersion = "2025-01" | "2026";

// As chainloop's ent schemas make them (commit 00758037 of 2025-01, and those of 2026), as far as an import reads them or might
// stumble over them.
const tables = {
  "2025-01": `
    create table organizations (id uuid primary key, name varchar unique not null, created_at timestamptz not null default now());
    create table projects (id uuid primary key, name varchar not null, created_at timestamptz not null default now(), deleted_at timestamptz, organization_id uuid not null references organizations);
    create table project_versions (id uuid primary key, version varchar not null default '', created_at timestamptz not null default now(), deleted_at timestamptz, project_id uuid not null references projects, prerelease bool not null default true, workflow_run_count bigint not null default 0);
    create table workflow_contracts (id uuid primary key, name varchar not null, created_at timestamptz not null default now(), deleted_at timestamptz, description varchar, organization_workflow_contracts uuid references organizations);
    create table workflow_contract_versions (id uuid primary key, body bytea, raw_body bytea not null, raw_body_format varchar not null, revision bigint not null default 1, created_at timestamptz not null default now(), workflow_contract_versions uuid references workflow_contracts);
    create table workflows (id uuid primary key, name varchar not null, project_old varchar, project_id uuid not null references projects, team varchar, runs_count bigint not null default 0, created_at timestamptz not null default now(), deleted_at timestamptz, public bool not null default false, organization_id uuid not null references organizations, description varchar, workflow_contract uuid not null references workflow_contracts);
    create table workflow_runs (id uuid primary key, created_at timestamptz not null default now(), finished_at timestamptz, state varchar not null default 'initialized', reason text, run_url varchar, runner_type varchar, attestation jsonb, attestation_digest varchar, attestation_state bytea, contract_revision_used bigint not null default 1, contract_revision_latest bigint not null default 1, version_id uuid not null references project_versions, workflow_id uuid references workflows, workflow_run_contract_version uuid references workflow_contract_versions);
    create index on workflow_runs (created_at desc, workflow_id);
    create table bundles (id uuid primary key, created_at timestamptz not null default now(), bundle bytea not null, workflowrun_id uuid unique references workflow_runs);
    create table cas_backends (id uuid primary key, location varchar not null, provider varchar not null, description varchar, secret_name varchar not null, created_at timestamptz not null default now(), validation_status varchar not null default 'OK', "default" bool not null default false, deleted_at timestamptz, fallback bool not null default false, max_blob_size_bytes bigint not null default 0, organization_cas_backends uuid references organizations);`,
  "2026": `
    alter table organizations add updated_at timestamptz not null default now(), add deleted_at timestamptz, add block_on_policy_violation bool not null default false;
    alter table project_versions add latest bool not null default false, add released_at timestamptz, add last_run_at timestamptz;
    alter table workflow_runs add organization_id uuid, add has_policy_violations bool, add policy_status varchar;
    alter table workflow_contracts add updated_at timestamptz not null default now(), add scoped_resource_type varchar, add scoped_resource_id uuid;
    alter table bundles rename to attestations;`,
};

export interface NewRun {
  /** What the database has of the attestation; undefined: nothing. */
  bundle?: Uint8Array | undefined;
  digest?: string | null;
  organization?: string;
  project?: string;
  workflow?: string;
  version?: string;
  jobUrl?: string;
  createdAt?: string;
  state?: string;
  /** Of the contract PROJECT-WORKFLOW, or of another one by name; undefined: what it used is not noted. */
  contractRevision?: number;
  contract?: string;
  /** The envelope as the first versions kept it. */
  legacyEnvelope?: object;
}

export interface ChainloopSource {
  url: string;
  addOrganization(name: string): Promise<void>;
  /** Each a minute younger than the one before, unless it says when. Returns its id. */
  addRun(run: NewRun): Promise<string>;
  /** Gives the contract of that name these texts, in order, from the next revision on. */
  addTexts(contract: string, texts: readonly string[]): Promise<void>;
  addBackend(organization: string, provider: string, location: string): Promise<void>;
  query<T>(statement: string, values?: unknown[]): Promise<T[]>;
  drop(): Promise<void>;
}

/** A database of the shared PostgreSQL with chainloop's tables and the organization `acme`. */
export async function createChainloop(version: ChainloopVersion): Promise<ChainloopSource> {
  const database = await createTestDatabase();
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  client.on("error", () => undefined);
  await client.query(tables["2025-01"]);
  if (version === "2026") await client.query(tables["2026"]);
  const query = async <T>(statement: string, values: unknown[] = []) =>
    (await client.query(statement, values)).rows as T[];

  async function idOf(table: string, columns: Record<string, unknown>): Promise<string> {
    const names = Object.keys(columns);
    const same = names.map((name, index) => `${name} = $${index + 1}`).join(" and ");
    const [found] = await query<{ id: string }>(`select id from ${table} where ${same}`, Object.values(columns));
    if (found !== undefined) return found.id;
    const id = randomUUID();
    const values = names.map((_name, index) => `$${index + 2}`);
    await query(`insert into ${table} (id, ${names.join(", ")}) values ($1, ${values.join(", ")})`, [
      id,
      ...Object.values(columns),
    ]);
    return id;
  }

  let minutes = 0;
  async function addRun(run: NewRun): Promise<string> {
    const organization = await idOf("organizations", { name: run.organization ?? "acme" });
    const project = await idOf("projects", { name: run.project ?? "demo", organization_id: organization });
    const versionId = await idOf("project_versions", { version: run.version ?? "v0", project_id: project });
    const name = run.workflow ?? "build";
    const contract = await idOf("workflow_contracts", {
      name: `${run.project ?? "demo"}-${name}`,
      organization_workflow_contracts: organization,
    });
    const workflow = await idOf("workflows", {
      ...{ name, project_id: project, organization_id: organization, workflow_contract: contract },
    });
    const id = randomUUID();
    const createdAt = run.createdAt ?? new Date(Date.UTC(2025, 0, 1, 0, minutes++)).toISOString();
    await query(
      `insert into workflow_runs (id, created_at, state, run_url, runner_type, attestation, attestation_digest, version_id, workflow_id,
         contract_revision_used, workflow_run_contract_version)
       values ($1, $2, $3, $4, 'GITHUB_ACTION', $5, $6, $7, $8, coalesce($9, 1), (
         select v.id from workflow_contract_versions v join workflow_contracts c on c.id = v.workflow_contract_versions
         where c.name = $10 and v.revision = $9))`,
      [
        ...[id, createdAt, run.state ?? "success", run.jobUrl ?? null],
        ...[run.legacyEnvelope ?? null, run.digest ?? null, versionId, workflow],
        ...[run.contractRevision ?? null, run.contract ?? `${run.project ?? "demo"}-${name}`],
      ],
    );
    if (run.bundle !== undefined) {
      const table = version === "2026" ? "attestations" : "bundles";
      await query(`insert into ${table} (id, bundle, workflowrun_id) values ($1, $2, $3)`, [
        randomUUID(),
        run.bundle,
        id,
      ]);
    }
    return id;
  }

  async function addTexts(contract: string, texts: readonly string[]): Promise<void> {
    for (const text of texts) {
      await query(
        `insert into workflow_contract_versions (id, raw_body, raw_body_format, revision, workflow_contract_versions)
         select gen_random_uuid(), $2, 'yaml', 1 + count(v.id), c.id
         from workflow_contracts c left join workflow_contract_versions v on v.workflow_contract_versions = c.id
         where c.name = $1 group by c.id`,
        [contract, Buffer.from(text)],
      );
    }
  }

  await idOf("organizations", { name: "acme" });
  return {
    url: database.url,
    addOrganization: async (name) => void (await idOf("organizations", { name })),
    addRun,
    addTexts,
    async addBackend(organization, provider, location) {
      const columns = { provider, location, secret_name: "secret" };
      await idOf("cas_backends", {
        ...columns,
        organization_cas_backends: await idOf("organizations", { name: organization }),
      });
    },
    query,
    async drop() {
      await client.end();
      await database.drop();
    },
  };
}
