#!/bin/sh
# Starts MinIO on one folder, /data. A folder in it is a bucket, so the first bucket needs no client.
set -eu
mkdir -p "${MINIO_DATA_DIR:=/data}/${MINIO_BUCKET:?names the bucket}"
exec minio server --quiet --address "${MINIO_LISTEN:-:9000}" "$MINIO_DATA_DIR"
