#!/bin/bash
# Runs once, when the data directory is new: a database for each service, owned by a role that sees no other.
set -euo pipefail

create() {
  psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --set role="$1" --set password="$2" <<'SQL'
create role :"role" login password :'password';
create database :"role" owner :"role";
revoke all on database :"role" from public;
SQL
}

create workflow_run "$WORKFLOW_RUN_DATABASE_PASSWORD"
create attestation_ingest "$ATTESTATION_INGEST_DATABASE_PASSWORD"
