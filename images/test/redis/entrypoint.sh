#!/bin/sh
# Arguments are a command; an option or a configuration file alone is one of redis-server.
set -eu

case "${1:-}" in
    -* | *.conf) set -- redis-server "$@" ;;
esac
# Its files hold what documents hold: nobody else's to read.
[ "${1:-}" != redis-server ] || umask 0077
exec "$@"
