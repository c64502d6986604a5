#!/bin/sh
# Starts the FastAPI server that docmill's answers are measured beside: README.md here says what it models.
# Installs its pinned packages in a virtual environment in the cache, once. Arguments go to server.py.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# The same place as `cargo xtask setup`.
DOCMILL_CACHE=${DOCMILL_CACHE:-${XDG_CACHE_HOME:-${HOME:?is not set, nor is DOCMILL_CACHE}/.cache}/docmill}

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
	{ echo "error: Python 3.11 or later is needed as python3" >&2; exit 1; }

# Named after what is in it: other pins or another Python, another environment.
pins=$( { python3 --version; cat "$here/requirements.txt"; } | sha256sum | cut -c1-12)
venv=$DOCMILL_CACHE/peers/ask-$pins
if [ ! -e "$venv/complete" ]; then
	echo "peers: installing FastAPI and NumPy in $venv"
	mkdir -p "$DOCMILL_CACHE/peers"
	rm -rf "$venv"
	python3 -m venv "$venv" || { echo "error: python3 cannot make virtual environments: install python3-venv" >&2; exit 1; }
	"$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
		--requirement "$here/requirements.txt"
	: >"$venv/complete"
fi

# No compiled files in the source tree.
export PYTHONDONTWRITEBYTECODE=1
exec "$venv/bin/python" "$here/server.py" "$@"
