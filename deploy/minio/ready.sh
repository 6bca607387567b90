#!/bin/bash
# Exits with 0 when MinIO can serve; the image has no curl.
set -eu
listen=${MINIO_LISTEN:-:9000}
exec 3<>"/dev/tcp/127.0.0.1/${listen##*:}"
printf 'GET /minio/health/ready HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
read -r _ status _ <&3
[ "$status" = 200 ]
