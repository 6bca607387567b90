-- What the attestation of a run says of policies. All null: it says nothing, or a build completed the run that did not ask.

-- CreateEnum
CREATE TYPE "policy_status" AS ENUM ('not_applicable', 'passed', 'skipped', 'warning', 'blocked', 'bypassed');

-- AlterTable
ALTER TABLE "run" ADD COLUMN "policy_status" "policy_status",
ADD COLUMN "policy_total" INTEGER,
ADD COLUMN "policy_passed" INTEGER,
ADD COLUMN "policy_skipped" INTEGER,
ADD COLUMN "policy_violated" INTEGER,
ADD COLUMN "policy_has_gates" BOOLEAN,
ADD COLUMN "policy_suppressed" INTEGER;

-- What the schema language has no words for, by hand.

-- What is there has nulls and satisfies it: not read to see that.
ALTER TABLE "run" ADD CONSTRAINT "run_policy_summary" CHECK (
    CASE WHEN "policy_status" IS NULL
        THEN num_nonnulls("policy_total", "policy_passed", "policy_skipped", "policy_violated", "policy_has_gates", "policy_suppressed") = 0
        ELSE "state" = 'success'
            AND num_nulls("policy_total", "policy_passed", "policy_skipped", "policy_violated", "policy_has_gates", "policy_suppressed") = 0
            AND least("policy_total", "policy_passed", "policy_skipped", "policy_violated", "policy_suppressed") >= 0
    END) NOT VALID;

-- RunService.List by what may be rare. Runs without policies are in none of them, and cost Complete nothing.
CREATE INDEX "run_policy_status_idx" ON "run"("organization_id", "policy_status", "id") WHERE "policy_status" <> 'not_applicable';
CREATE INDEX "run_workflow_policy_status_idx" ON "run"("organization_id", "workflow_id", "policy_status", "id") WHERE "policy_status" <> 'not_applicable';
CREATE INDEX "run_policy_violated_idx" ON "run"("organization_id", "id") WHERE "policy_violated" > 0;
CREATE INDEX "run_workflow_policy_violated_idx" ON "run"("organization_id", "workflow_id", "id") WHERE "policy_violated" > 0;
CREATE INDEX "run_policy_gates_idx" ON "run"("organization_id", "id") WHERE "policy_has_gates";
CREATE INDEX "run_workflow_policy_gates_idx" ON "run"("organization_id", "workflow_id", "id") WHERE "policy_has_gates";
