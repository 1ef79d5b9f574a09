#!/usr/bin/env bash
# Starts the compose file on a host that runs containers, makes a small dataset through it, and
# takes it down again with its volumes. Takes the time of a build, then some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

settings=$(mktemp)
for name in POSTGRES_PASSWORD REDIS_PASSWORD PREFECT_PASSWORD BROWSER_PASSWORD AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; do
    echo "$name=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')" >>"$settings"
done
port=${UI_PORT:-4200}
echo "UI_PORT=$port" >>"$settings"
compose() { docker compose --project-name cxr-factory-try --env-file "$settings" --profile cpu-only "$@"; }
finish() { compose down --volumes --remove-orphans; rm -f "$settings"; }
trap finish EXIT

compose up --build --detach --wait
compose exec -T worker-cpu prefect deployment run generate-dataset/generate-dataset --watch
compose exec -T worker-cpu cxr-factory status first --root s3://factory
curl --fail --silent --output /dev/null "http://127.0.0.1:$port/api/ready"
if curl --fail --silent --output /dev/null --request POST "http://127.0.0.1:$port/api/flows/filter"; then
    echo "expected the API to refuse a request without a password, it answered" >&2
    exit 1
fi
echo "compose file: a dataset was made and released through it"
