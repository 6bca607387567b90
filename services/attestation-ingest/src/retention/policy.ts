/** How long an organization keeps its attestations, in seconds since they were stored; 0: no bound. */
export interface RetentionPolicy {
  organizationId: string;
  atLeastSeconds: number;
  atMostSeconds: number;
}

/** What workflow-run answered, and until when, by performance.now(), it may be acted on. */
export interface FreshPolicy extends RetentionPolicy {
  useBefore: number;
}

/** An answer is acted on for so long after the question. */
export const answerLastsMs = 10_000;
