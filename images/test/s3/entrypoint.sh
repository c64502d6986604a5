#!/bin/sh
# Arguments are the program's; without any, VGW_BACKEND and its kin say what is served.
set -eu

[ "$#" = 0 ] || exec versitygw "$@"
[ -n "${VGW_BACKEND:-}" ] || {
    echo "No command arguments were provided and VGW_BACKEND is unset." >&2
    exit 1
}
# Words of the two lists are arguments of their own, as in the official image.
# shellcheck disable=SC2086
set -- ${VGW_ARGS:-} "$VGW_BACKEND" ${VGW_BACKEND_ARG:+"$VGW_BACKEND_ARG"} ${VGW_BACKEND_ARGS:-}
exec versitygw "$@"
