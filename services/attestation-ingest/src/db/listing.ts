import { digestFromBytes, type Subject } from "@attestry/bundle";
import type { Attestation } from "../store/attestation.ts";
import type { Prisma, PrismaClient } from "./client/client.ts";

export interface AttestationFilter {
  organizationId: string;
  subjectKey?: string;
  materialKey?: string;
  predicateType?: string;
  project?: string;
  workflow?: string;
  /** Bounds on ids, the lower one included; they stand for times, since an id begins with its time. */
  fromId?: string;
  belowId?: string;
}

export type ListedAttestation = Omit<Attestation, "organizationId" | "planGivenAt" | "policySummary" | "visible">;

const columns = {
  id: true,
  runId: true,
  workflowId: true,
  project: true,
  workflow: true,
  digest: true,
  sizeBytes: true,
  mediaType: true,
  predicateType: true,
  subjects: true,
  mode: true,
  receivedAt: true,
  verificationMode: true,
  verificationResult: true,
  signer: true,
  issuer: true,
  integratedAt: true,
  trustRevision: true,
  tokenId: true,
  uploads: { select: { backendId: true, state: true }, orderBy: { id: "asc" } },
} satisfies Prisma.AttestationSelect;

type Selected = Prisma.AttestationGetPayload<{ select: typeof columns }>;

/** Visible attestations that retention does not hide, the newest first, without their bundles; at most `limit`. */
export async function listAttestations(
  prisma: PrismaClient,
  filter: AttestationFilter,
  limit: number,
): Promise<ListedAttestation[]> {
  const { organizationId, subjectKey, materialKey, predicateType, project, workflow } = filter;
  const id = {
    ...(filter.fromId !== undefined && { gte: filter.fromId }),
    ...(filter.belowId !== undefined && { lt: filter.belowId }),
  };
  const where = {
    organizationId,
    visible: true,
    expiredAt: null,
    ...(predicateType !== undefined && { predicateType }),
    ...(project !== undefined && { project }),
    ...(workflow !== undefined && { workflow }),
  };
  // Each is one index, read from the page's end: the one of the materials, of the subjects, or of the attestations.
  const page = {
    orderBy: { attestationId: "desc" },
    take: limit,
    select: { attestation: { select: columns } },
  } satisfies Prisma.AttestationSubjectFindManyArgs & Prisma.AttestationMaterialFindManyArgs;
  if (materialKey !== undefined) {
    const subjects =
      subjectKey === undefined ? {} : { subjectIndex: { some: { organizationId, digestKey: subjectKey } } };
    const attestation = { ...where, ...subjects };
    const rows = await prisma.attestationMaterial.findMany({
      where: { organizationId, digestKey: materialKey, attestationId: id, attestation },
      ...page,
    });
    return rows.map((row) => listed(row.attestation));
  }
  if (subjectKey !== undefined) {
    const rows = await prisma.attestationSubject.findMany({
      where: { organizationId, digestKey: subjectKey, attestationId: id, attestation: where },
      ...page,
    });
    return rows.map((row) => listed(row.attestation));
  }
  const rows = await prisma.attestation.findMany({
    where: { ...where, id },
    orderBy: { id: "desc" },
    take: limit,
    select: columns,
  });
  return rows.map(listed);
}

function listed(row: Selected): ListedAttestation {
  return { ...row, digest: digestFromBytes(row.digest), subjects: row.subjects as unknown as Subject[] };
}
