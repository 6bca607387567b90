/** How long an organization keeps its attestations, in seconds since they were stored; 0: no bound. */
export interface RetentionPolicy {
  organizationId: string;
  atLeastSeconds: number;
  atMostSeconds: number;
}
