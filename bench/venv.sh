# Sourced by each run.sh below, after it has set `here` to its own folder: a virtual environment with the pinned packages of
# that folder, made once.

# The same place as `cargo xtask setup`.
DOCMILL_CACHE=${DOCMILL_CACHE:-${XDG_CACHE_HOME:-${HOME:?is not set, nor is DOCMILL_CACHE}/.cache}/docmill}
export DOCMILL_CACHE

# make_venv NAME MINOR WHAT: sets `venv` to the environment of $here/requirements.txt, for Python 3.MINOR or later. WHAT is
# installed, as people are told.
make_venv() {
	python3 -c "import sys; sys.exit(sys.version_info < (3, $2))" ||
		{ echo "error: Python 3.$2 or later is needed as python3" >&2; exit 1; }
	# Named after what is in it: other pins or another Python, another environment.
	pins=$( { python3 --version; cat "$here/requirements.txt"; } | sha256sum | cut -c1-12)
	venv=$DOCMILL_CACHE/peers/$1-$pins
	if [ ! -e "$venv/complete" ]; then
		echo "bench: installing $3 in $venv" >&2
		mkdir -p "$DOCMILL_CACHE/peers"
		rm -rf "$venv"
		python3 -m venv "$venv" || { echo "error: python3 cannot make virtual environments: install python3-venv" >&2; exit 1; }
		"$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
			--requirement "$here/requirements.txt" >&2
		: >"$venv/complete"
	fi
	# No compiled files in the source tree: what was installed is compiled by now.
	export PYTHONDONTWRITEBYTECODE=1
}
