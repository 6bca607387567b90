import { isDeepStrictEqual } from "node:util";
import type { TrustPolicy } from "@attestry/bundle";
import { trustEntry } from "../trust/trust-change.ts";
import type { TrustRevision } from "../trust/trust-policy.ts";
import { audited } from "./audited.ts";
import type { PrismaClient, TrustPolicy as Row } from "./client/client.ts";
import { transactionLimits } from "./database.ts";
import { lockOrganization, readOrganization } from "./organization-store.ts";

/** Trust policies, in the database: a row for each revision, the newest in force. */
export class TrustStore {
  readonly #prisma: PrismaClient;

  constructor(prisma: PrismaClient) {
    this.#prisma = prisma;
  }

  /** Revision 0: the one in force. Null: there is none. */
  async find(organizationId: string, revision: number): Promise<TrustRevision | null> {
    const row = await this.#prisma.trustPolicy.findFirst({
      where: { organizationId, ...(revision === 0 ? {} : { revision }) },
      orderBy: { revision: "desc" },
    });
    return row && read(row);
  }

  /**
   * Puts the policy in force and tells the audit log, unless it is in force already. Returns its revision, which a trigger
   * has noted with the organization; null: there is no such organization.
   */
  set(organizationId: string, policy: TrustPolicy, actor: string): Promise<number | null> {
    return this.#prisma.$transaction(async (tx) => {
      await lockOrganization(tx, organizationId);
      const found = await tx.organization.findUnique({ where: { id: organizationId } });
      if (found === null) return null;
      const organization = readOrganization(found);
      const key = { organizationId, revision: organization.trustRevision };
      const present = await tx.trustPolicy.findUnique({ where: { organizationId_revision: key } });
      if (present !== null && isDeepStrictEqual(read(present).policy, policy)) return present.revision;
      const revision = organization.trustRevision + 1;
      await tx.trustPolicy.create({ data: { organizationId, revision, ...columnsOf(policy) } });
      await audited(tx, organizationId, trustEntry(organization, policy, actor));
      return revision;
    }, transactionLimits);
  }
}

function columnsOf({ material, transparencyLogThreshold, timestampThreshold, signers }: TrustPolicy) {
  return {
    trustedRoots: [...material.trustedRoots],
    certificateAuthorities: [...material.certificateAuthorities],
    publicKeys: [...material.publicKeys],
    transparencyLogThreshold,
    timestampThreshold,
    signers: signers.map(({ subject, issuer }) => ({ subject, issuer })),
  };
}

function read(row: Row): TrustRevision {
  const { organizationId, revision, setAt, trustedRoots, certificateAuthorities, publicKeys } = row;
  const { transparencyLogThreshold, timestampThreshold } = row;
  const policy: TrustPolicy = {
    material: { trustedRoots, certificateAuthorities, publicKeys },
    transparencyLogThreshold,
    timestampThreshold,
    signers: row.signers as unknown as TrustPolicy["signers"],
  };
  return { organizationId, revision, setAt, policy };
}
