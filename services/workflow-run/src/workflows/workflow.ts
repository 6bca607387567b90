import { DomainError } from "@attestry/service-kit";

export interface Workflow {
  id: string;
  project: string;
  name: string;
  createdAt: Date;
}

export function workflowNotFound(project: string, name: string): DomainError {
  return new DomainError("WORKFLOW_NOT_FOUND", `there is no workflow ${project}/${name} in this organization`, {
    metadata: { workflow: `${project}/${name}` },
  });
}
