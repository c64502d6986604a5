#!/bin/sh
# Runs one of the scripts here: `run.sh read READER FILE…`, `run.sh recipe FILE…`, `run.sh office DIR`. README.md says what they
# are for. Installs its pinned packages in a virtual environment in the cache, once.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# The same place as `cargo xtask setup`.
DOCMILL_CACHE=${DOCMILL_CACHE:-${XDG_CACHE_HOME:-${HOME:?is not set, nor is DOCMILL_CACHE}/.cache}/docmill}
export DOCMILL_CACHE

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
	{ echo "error: Python 3.11 or later is needed as python3" >&2; exit 1; }

# Named after what is in it: other pins or another Python, another environment.
pins=$( { python3 --version; cat "$here/requirements.txt"; } | sha256sum | cut -c1-12)
venv=$DOCMILL_CACHE/peers/extract-$pins
if [ ! -e "$venv/complete" ]; then
	echo "bench/extract: installing PyMuPDF, pypdf, pdfplumber, kreuzberg and pytesseract in $venv" >&2
	mkdir -p "$DOCMILL_CACHE/peers"
	rm -rf "$venv"
	python3 -m venv "$venv" || { echo "error: python3 cannot make virtual environments: install python3-venv" >&2; exit 1; }
	"$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
		--requirement "$here/requirements.txt" >&2
	: >"$venv/complete"
fi

script=${1:?"which script: read, recipe or office"}
shift
# No compiled files in the source tree.
export PYTHONDONTWRITEBYTECODE=1
exec "$venv/bin/python" "$here/$script.py" "$@"
