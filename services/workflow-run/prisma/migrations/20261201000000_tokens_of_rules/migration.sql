-- Of federated tokens that are there already it is not known; they run out within an hour.
-- AlterTable
ALTER TABLE "token" ADD COLUMN "federation_rule_id" UUID;

-- What the schema language has no words for, by hand.

ALTER TABLE "token" ADD CONSTRAINT "token_of_rule_is_federated" CHECK ("federation_rule_id" IS NULL OR "federated");

-- Those that end with their rule.
CREATE INDEX "token_of_rule" ON "token"("federation_rule_id", "expires_at") WHERE "federation_rule_id" IS NOT NULL AND "revoked_at" IS NULL;

-- Also the revoked ones are forgotten once they ran out.
DROP INDEX "token_forgotten";
CREATE INDEX "token_forgotten" ON "token"("expires_at") WHERE "federated";
