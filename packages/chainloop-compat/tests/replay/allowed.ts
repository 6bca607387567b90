import type { Difference } from "./compare.ts";

/** Where an answer of ours may be another than the recorded one, and why. */
export interface Allowance {
  path: RegExp;
  why: string;
  /** What both have to be all the same. */
  holds: (difference: Difference) => boolean;
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const pem = /^-----BEGIN CERTIFICATE-----\n[^-]+-----END CERTIFICATE-----\n?$/;

const both =
  (test: (text: string) => boolean) =>
  ({ recorded, actual }: Difference): boolean =>
    typeof recorded === "string" && typeof actual === "string" && test(recorded) && test(actual);

export const allowances: readonly Allowance[] = [
  { path: /(^|\.)(id|projectId)$/, why: "made at random by each server", holds: both((text) => uuid.test(text)) },
  {
    path: /(createdAt|finishedAt|updatedAt|validatedAt|CreatedAt)$/,
    why: "another day",
    holds: both((text) => !Number.isNaN(Date.parse(text))),
  },
  {
    path: /result\.token$/,
    why: "a token of another gateway; both are JWTs with an end",
    holds: both((text) => text.split(".").length === 3),
  },
  {
    path: /(uiDashboardUrl|loginUrl)$/,
    why: "there is no dashboard and no login: the client prints no link",
    holds: ({ actual }) => actual === undefined,
  },
  { path: /^version$/, why: "of Attestry", holds: both((text) => text !== "") },
  {
    path: /(ackend)\.(location|description|name)$/,
    why: "what an operator called it; where it is only the gateway knows, so that its name stands there too",
    holds: ({ path, actual }) => path.endsWith("description") || typeof actual === "string",
  },
  {
    path: /ackend\.limits\.maxBytes$/,
    why: "a setting of the backend",
    holds: both((text) => Number(text) > 0),
  },
  {
    path: /^result\[\]\.workflowRefs\[\]\.projectName$/,
    why: "its own server leaves it out of lists; the client would print it",
    holds: ({ recorded, actual }) => recorded === undefined && typeof actual === "string" && actual !== "",
  },
  { path: /^chain\.certificates\[\]$/, why: "of another authority", holds: both((text) => pem.test(text)) },
  {
    path: /^keys\.[0-9a-f]{64}$/,
    why: "of another authority",
    holds: ({ recorded, actual }) => (recorded === undefined) !== (actual === undefined),
  },
  {
    path: /^pagination\.nextCursor$/,
    why: "the recorded organization had thousands of other runs",
    holds: ({ actual }) => actual === undefined,
  },
];

/** What is not allowed. */
export function unexplained(found: readonly Difference[]): Difference[] {
  return found.filter((one) => !allowances.some(({ path, holds }) => path.test(one.path) && holds(one)));
}
