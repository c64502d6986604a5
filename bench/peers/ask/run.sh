#!/bin/sh
# Starts the FastAPI server that docmill's answers are measured beside: README.md here says what it models.
# Installs its pinned packages in a virtual environment in the cache, once. Arguments go to server.py.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../venv.sh"
make_venv ask 11 "FastAPI, uvicorn and NumPy"

exec "$venv/bin/python" "$here/server.py" "$@"
