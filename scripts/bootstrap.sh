#!/bin/sh
# Installs what cargo needs before it can build anything, xtask included: a C compiler.
# Everything else is installed by `cargo xtask setup`.
set -eu

command -v cargo >/dev/null 2>&1 || { echo "error: cargo is missing: install Rust 1.95 or later (https://rustup.rs)" >&2; exit 1; }

missing=
command -v cc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
[ -z "$missing" ] && exit 0

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
if ! command -v apt-get >/dev/null 2>&1 || { [ -n "$sudo" ] && ! command -v sudo >/dev/null 2>&1; }; then
	echo "error: please install:$missing (no apt-get, or neither root nor sudo here)" >&2
	exit 1
fi
echo "bootstrap: installing$missing"
# A broken third-party source must not stop us: the install below fails if the lists are of no use.
$sudo apt-get update -qq || true
# shellcheck disable=SC2086 # a list of packages
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
