-- Each workflow that is there already gets a contract that asks for nothing, and so does each that a build from before this
-- migration makes beside it: a trigger sees to it. Their runs have revision 0: it was not noted which they had.

-- CreateEnum
CREATE TYPE "contract_format" AS ENUM ('json', 'yaml');

-- CreateTable
CREATE TABLE "contract" (
    "organization_id" UUID NOT NULL,
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "project" TEXT NOT NULL DEFAULT '',
    "description" TEXT NOT NULL DEFAULT '',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "latest_revision" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "contract_pkey" PRIMARY KEY ("organization_id","id")
);

-- CreateTable
CREATE TABLE "contract_revision" (
    "organization_id" UUID NOT NULL,
    "contract_id" UUID NOT NULL,
    "revision" INTEGER NOT NULL,
    "id" UUID NOT NULL,
    "text" BYTEA NOT NULL,
    "format" "contract_format" NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "contract_revision_pkey" PRIMARY KEY ("organization_id","contract_id","revision")
);

-- CreateTable
CREATE TABLE "project_version" (
    "organization_id" UUID NOT NULL,
    "id" UUID NOT NULL,
    "project" TEXT NOT NULL,
    "version" TEXT NOT NULL,
    "prerelease" BOOLEAN NOT NULL DEFAULT true,
    "latest" BOOLEAN NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "released_at" TIMESTAMPTZ(3),

    CONSTRAINT "project_version_pkey" PRIMARY KEY ("organization_id","id")
);

-- AlterTable
ALTER TABLE "organization" ADD COLUMN "block_on_policy_violation" BOOLEAN NOT NULL DEFAULT false;

-- AlterTable
ALTER TABLE "workflow" ADD COLUMN "description" TEXT NOT NULL DEFAULT '',
ADD COLUMN "team" TEXT NOT NULL DEFAULT '',
ADD COLUMN "contract_id" UUID;

-- AlterTable
ALTER TABLE "run" ADD COLUMN "contract_revision" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN "runner" TEXT NOT NULL DEFAULT '',
ADD COLUMN "project_version_id" UUID,
ADD COLUMN "block_on_policy_violation" BOOLEAN NOT NULL DEFAULT false;

-- The contract that asks for nothing, byte for byte as Chainloop makes it.
CREATE FUNCTION "empty_contract"("name" text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT convert_to(E'apiVersion: chainloop.dev/v1\nkind: Contract\nmetadata:\n    name: ' || "name" || E'\nspec: {}\n', 'UTF8')
$$;

-- What is there already, all at once and before there are keys and triggers to check it by: under a lock that runs wait for. Names are
-- as workflow_contract makes them below. Each of these contracts has the id of its workflow.
INSERT INTO "contract" ("organization_id", "id", "name", "project", "latest_revision")
    SELECT "organization_id", "id", "plain" || CASE
            WHEN row_number() OVER (PARTITION BY "organization_id", "plain" ORDER BY "id") = 1 THEN ''
            ELSE '-' || left(md5("project" || '/' || "name"), 8)
        END, "project", 1
    FROM (SELECT *, "project" || '-' || "name" AS "plain" FROM "workflow") w;

INSERT INTO "contract_revision" ("organization_id", "contract_id", "revision", "id", "text", "format")
    SELECT "organization_id", "id", 1, uuidv7(), "empty_contract"("name"), 'yaml' FROM "contract";

UPDATE "workflow" SET "contract_id" = "id";

ALTER TABLE "workflow" ALTER COLUMN "contract_id" SET NOT NULL;

-- CreateIndex
CREATE UNIQUE INDEX "contract_organization_id_name_key" ON "contract"("organization_id", "name");

-- CreateIndex
CREATE INDEX "contract_project_organization_id_id_idx" ON "contract"("project", "organization_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "project_version_organization_id_project_version_key" ON "project_version"("organization_id", "project", "version");

-- CreateIndex
CREATE INDEX "workflow_contract_id_project_name_idx" ON "workflow"("contract_id", "project", "name");

-- AddForeignKey
ALTER TABLE "contract" ADD CONSTRAINT "contract_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "organization"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "contract_revision" ADD CONSTRAINT "contract_revision_organization_id_contract_id_fkey" FOREIGN KEY ("organization_id", "contract_id") REFERENCES "contract"("organization_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "project_version" ADD CONSTRAINT "project_version_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "organization"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- What the schema language has no words for, by hand.

ALTER TABLE "contract_revision" ADD CONSTRAINT "contract_revision_text" CHECK (octet_length("text") BETWEEN 1 AND 1048576);

-- A revision is one text for good, since runs refer to it; and the latest of a contract is always the last that was added.
CREATE FUNCTION "refuse_contract_change"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'contract_revision is append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER "contract_revision_append_only" BEFORE UPDATE OR DELETE OR TRUNCATE ON "contract_revision"
    FOR EACH STATEMENT EXECUTE FUNCTION "refuse_contract_change"();

CREATE FUNCTION "raise_contract_revision"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE "contract" SET "latest_revision" = NEW."revision", "updated_at" = NEW."created_at"
        WHERE "organization_id" = NEW."organization_id" AND "id" = NEW."contract_id" AND "latest_revision" = NEW."revision" - 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'contract_revision: % is not the next revision', NEW."revision" USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER "contract_revision_raises_latest" AFTER INSERT ON "contract_revision"
    FOR EACH ROW EXECUTE FUNCTION "raise_contract_revision"();

-- No contract is there without a text, once its transaction has ended.
ALTER TABLE "contract" ADD CONSTRAINT "contract_has_latest" FOREIGN KEY ("organization_id", "id", "latest_revision")
    REFERENCES "contract_revision"("organization_id", "contract_id", "revision") DEFERRABLE INITIALLY DEFERRED;

-- The contract for a workflow that names none: PROJECT-NAME if that is free, or is there and may be had by this project; else, as
-- for a-b/c beside a/b-c, with a suffix that is the same whoever comes to need it. So callers that come at once agree.
CREATE FUNCTION "workflow_contract"(
    "for_organization" uuid, "for_project" text, "for_workflow" text, "with_text" bytea, "with_format" "contract_format"
) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    plain text := "for_project" || '-' || "for_workflow";
    wanted text;
    present record;
    made uuid;
BEGIN
    FOREACH wanted IN ARRAY ARRAY[plain, plain || '-' || left(md5("for_project" || '/' || "for_workflow"), 8)] LOOP
        SELECT "id", "project" INTO present FROM "contract"
            WHERE "organization_id" = "for_organization" AND "name" = wanted;
        IF NOT FOUND THEN
            made := uuidv7();
            INSERT INTO "contract" ("organization_id", "id", "name", "project")
                VALUES ("for_organization", made, wanted, "for_project") ON CONFLICT ("organization_id", "name") DO NOTHING;
            IF FOUND THEN
                INSERT INTO "contract_revision" ("organization_id", "contract_id", "revision", "id", "text", "format")
                    VALUES ("for_organization", made, 1, uuidv7(),
                        coalesce("with_text", "empty_contract"(wanted)), coalesce("with_format", 'yaml'));
                RETURN made;
            END IF;
            SELECT "id", "project" INTO present FROM "contract"
                WHERE "organization_id" = "for_organization" AND "name" = wanted;
        END IF;
        IF present."project" IN ('', "for_project") THEN
            RETURN present."id";
        END IF;
    END LOOP;
    RAISE EXCEPTION 'the contracts % and % are of other projects', plain, wanted USING ERRCODE = 'unique_violation';
END
$$;

CREATE FUNCTION "give_workflow_contract"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW."contract_id" := "workflow_contract"(NEW."organization_id", NEW."project", NEW."name", NULL, NULL);
    RETURN NEW;
END
$$;

CREATE TRIGGER "workflow_has_contract" BEFORE INSERT ON "workflow"
    FOR EACH ROW WHEN (NEW."contract_id" IS NULL) EXECUTE FUNCTION "give_workflow_contract"();

-- AddForeignKey
ALTER TABLE "workflow" ADD CONSTRAINT "workflow_organization_id_contract_id_fkey" FOREIGN KEY ("organization_id", "contract_id") REFERENCES "contract"("organization_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- Of the runs that are there none has a version, so there is nothing to look through.
ALTER TABLE "run" ADD CONSTRAINT "run_organization_id_project_version_id_fkey" FOREIGN KEY ("organization_id", "project_version_id") REFERENCES "project_version"("organization_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE NOT VALID;

-- Lists by version, of one workflow after the other; runs without a version are not in it.
CREATE INDEX "run_project_version_idx" ON "run"("organization_id", "project_version_id", "workflow_id", "id") WHERE "project_version_id" IS NOT NULL;

ALTER TABLE "project_version"
    ADD CONSTRAINT "project_version_length" CHECK (char_length("version") BETWEEN 1 AND 128),
    ADD CONSTRAINT "project_version_released" CHECK ("prerelease" = ("released_at" IS NULL));

-- One latest for each project.
CREATE UNIQUE INDEX "project_version_latest_key" ON "project_version"("organization_id", "project") WHERE "latest";

-- The version that a run is of, which is made if it is not there; no row if it must be there and is not, or if it is to become
-- the latest and is released already. The first of a project is its latest. Who changes the versions of a project waits for
-- others who do; who only finds one waits for nobody.
CREATE FUNCTION "version_of_run"(
    "of_organization" uuid, "of_project" text, "of_version" text, "must_exist" boolean, "mark_latest" boolean, "new_id" uuid
) RETURNS SETOF "project_version" LANGUAGE plpgsql AS $$
DECLARE
    present "project_version";
BEGIN
    FOR attempt IN 1..2 LOOP
        IF "of_version" = '' THEN
            SELECT * INTO present FROM "project_version" v
                WHERE v."organization_id" = "of_organization" AND v."project" = "of_project" AND v."latest";
        ELSE
            SELECT * INTO present FROM "project_version" v
                WHERE v."organization_id" = "of_organization" AND v."project" = "of_project" AND v."version" = "of_version";
        END IF;
        IF present."id" IS NULL AND "must_exist" THEN
            RETURN;
        END IF;
        IF present."id" IS NOT NULL AND (present."latest" OR "mark_latest" IS NOT TRUE) THEN
            RETURN NEXT present;
            RETURN;
        END IF;
        IF present."released_at" IS NOT NULL THEN
            RETURN;
        END IF;
        -- Once more under the lock: what others did meanwhile is seen by now.
        PERFORM pg_advisory_xact_lock(hashtextextended("of_organization" || '/' || "of_project", 7700002));
    END LOOP;
    IF present."id" IS NULL THEN
        IF "mark_latest" IS NOT FALSE THEN
            UPDATE "project_version" v SET "latest" = false
                WHERE v."organization_id" = "of_organization" AND v."project" = "of_project" AND v."latest";
        END IF;
        INSERT INTO "project_version" ("organization_id", "id", "project", "version", "latest")
            SELECT "of_organization", "new_id", "of_project", coalesce(nullif("of_version", ''), 'v0'), NOT EXISTS (
                SELECT FROM "project_version" v
                WHERE v."organization_id" = "of_organization" AND v."project" = "of_project" AND v."latest")
            RETURNING * INTO present;
    ELSE
        UPDATE "project_version" v SET "latest" = false
            WHERE v."organization_id" = "of_organization" AND v."project" = "of_project" AND v."latest";
        UPDATE "project_version" v SET "latest" = true
            WHERE v."organization_id" = "of_organization" AND v."id" = present."id"
            RETURNING * INTO present;
    END IF;
    RETURN NEXT present;
END
$$;
