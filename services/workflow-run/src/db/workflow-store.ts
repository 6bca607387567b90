import { uuidv7 } from "@attestry/service-kit";
import type { Workflow } from "../workflows/workflow.ts";
import type { PrismaClient } from "./client/client.ts";

/** Workflows, in the database. */
export class WorkflowStore {
  readonly #prisma: PrismaClient;

  constructor(prisma: PrismaClient) {
    this.#prisma = prisma;
  }

  /** The unique constraint decides between callers that come at once: one of them creates it. */
  async findOrCreate(
    organizationId: string,
    project: string,
    name: string,
  ): Promise<{ workflow: Workflow; created: boolean }> {
    const existing = await this.find(organizationId, project, name);
    if (existing !== null) return { workflow: existing, created: false };
    const data = [{ organizationId, id: uuidv7(), project, name }];
    const [made] = await this.#prisma.workflow.createManyAndReturn({ data, skipDuplicates: true });
    if (made !== undefined) return { workflow: made, created: true };
    const where = { organizationId_project_name: { organizationId, project, name } };
    return { workflow: await this.#prisma.workflow.findUniqueOrThrow({ where }), created: false };
  }

  find(organizationId: string, project: string, name: string): Promise<Workflow | null> {
    return this.#prisma.workflow.findUnique({
      where: { organizationId_project_name: { organizationId, project, name } },
    });
  }

  /** Newest first, with ids below `afterId`. */
  list(
    organizationId: string,
    project: string | undefined,
    afterId: string | undefined,
    limit: number,
  ): Promise<Workflow[]> {
    return this.#prisma.workflow.findMany({
      where: {
        organizationId,
        ...(project === undefined ? {} : { project }),
        ...(afterId === undefined ? {} : { id: { lt: afterId } }),
      },
      orderBy: { id: "desc" },
      take: limit,
    });
  }
}
