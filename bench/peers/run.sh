#!/bin/sh
# Measures a Celery pipeline beside docmill's own benchmark: README.md here says what is measured and how.
# Installs its pinned packages in a virtual environment in the cache, once. Arguments go to the measurement.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../venv.sh"
make_venv celery 10 "Celery and psycopg"

export PYTHONPATH="$here"
exec "$venv/bin/python" -m harness "$@"
