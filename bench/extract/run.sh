#!/bin/sh
# Runs one of the scripts here: `run.sh read READER FILE…`, `run.sh recipe FILE…`, `run.sh office DIR`, `run.sh noisy DIR
# PICTURE…`. README.md says what they are for. Installs its pinned packages in a virtual environment in the cache, once.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../venv.sh"
make_venv extract 11 "PyMuPDF, pypdf, pdfplumber, kreuzberg and pytesseract"

script=${1:?"which script: read, recipe, office or noisy"}
shift
exec "$venv/bin/python" "$here/$script.py" "$@"
