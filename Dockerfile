# Builds each service and the command, from one file:
#   docker build --build-arg SERVICE=workflow-run .       (or attestation-ingest, cas-gateway, cli)
ARG NODE_IMAGE=node:24.21.0-slim

# What is not committed: the protobuf stubs and the Prisma clients. Shared by the images of all services.
FROM ${NODE_IMAGE} AS sources
WORKDIR /attestry
RUN npm install --global pnpm@12.21.0
# The packages first: a change of a source does not fetch them again.
COPY pnpm-lock.yaml pnpm-workspace.yaml ./
RUN pnpm fetch
COPY . .
RUN pnpm install --frozen-lockfile --offline
RUN find . -name node_modules -prune -exec rm -rf {} +

# The dependencies that this service needs to run, and no others.
FROM sources AS service
ARG SERVICE
RUN test -n "${SERVICE}" || { echo "give --build-arg SERVICE=workflow-run|attestation-ingest|cas-gateway|cli" >&2; exit 1; }
# No install scripts: the generated code is there already, and no dependency needs one to run.
RUN pnpm install --prod --frozen-lockfile --offline --ignore-scripts --filter "@attestry/${SERVICE}..."
# Node strips the types, so the sources run as they are. One name for the program, whichever it is.
RUN ln -s "$(ls -d services/${SERVICE} packages/${SERVICE} 2>/dev/null)/src/main.ts" main.ts

FROM ${NODE_IMAGE}
ARG SERVICE
WORKDIR /attestry
ENV NODE_ENV=production \
    WORKFLOW_RUN_LISTEN=0.0.0.0:7701 \
    ATTESTATION_INGEST_LISTEN=0.0.0.0:7702 \
    CAS_GATEWAY_LISTEN=0.0.0.0:7703 \
    ATTESTRY_SERVICE=${SERVICE} \
    ATTESTRY_SIGNING_KEY_FILE=/keys/signing-key.jwk.json \
    ATTESTRY_JWKS_FILE=/keys/jwks.json \
    CAS_SECRETS_DIR=/secrets
# Volumes are mounted here; a new one takes over the owner of its mount point.
RUN install -d -o node -g node -m 0700 \
    /keys /keys/workflow-run /keys/attestation-ingest /keys/cas-gateway /secrets /token
COPY --from=service /attestry /attestry
USER node
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --start-interval=1s CMD ["node", "deploy/healthcheck.mjs"]
# The flag is explained in packages/dev-env/src/node-flags.ts.
ENTRYPOINT ["node", "--external-memory-accounted-in-global-limit", "main.ts"]
