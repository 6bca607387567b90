import { type FederationRule, Role } from "@attestry/api/run";
import { afterAll, afterEach, beforeAll, beforeEach } from "@jest/globals";
import { type Clients, type Harness, startHarness } from "./harness.ts";
import { TestIssuer } from "./test-issuer.ts";

type RuleChanges = Partial<Pick<FederationRule, "name" | "issuer" | "role">> & { conditions?: string[] };

/** A workflow-run for a suite; an issuer, and an organization without rules, for each of its tests. */
export interface FederationWorld {
  harness: Harness;
  issuer: TestIssuer;
  organization: string;
  admin: Clients;
  exchange(idToken: string, from?: string): ReturnType<Clients["federation"]["exchange"]>;
  /** A rule for pushes to a branch of acme/app. */
  addRule(changes?: RuleChanges): ReturnType<Clients["federation"]["create"]>;
}

export function useFederation(): FederationWorld {
  let made = 0;
  const world = {
    exchange: (idToken, organization = world.organization) =>
      world.harness.as("").federation.exchange({ organization, idToken }),
    addRule({ conditions = ["repository=acme/app", "ref=refs/heads/*"], ...rest } = {}) {
      const parsed = conditions.map((text) => {
        const [claim = "", pattern = ""] = text.split(/=(.*)/s);
        return { claim, pattern };
      });
      const own = { name: "release", issuer: world.issuer.url, role: Role.CI, ...rest };
      const rule = { audience: "attestry", lifetimeSeconds: 600n, conditions: parsed, ...own };
      return world.admin.federation.create({ rule });
    },
  } as FederationWorld;
  beforeAll(async () => {
    world.harness = await startHarness({ privateIssuers: true });
  });
  afterAll(() => world.harness.stop());
  beforeEach(async () => {
    world.issuer = new TestIssuer();
    await world.issuer.start();
    world.organization = `federated-${++made}`;
    world.admin = (await world.harness.organization(world.organization)).admin;
  });
  afterEach(() => world.issuer.stop());
  return world;
}
