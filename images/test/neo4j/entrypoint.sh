#!/bin/bash
# Settings come from a folder /conf, from variables NEO4J_a_b__c (setting a.b_c), or from both, where variables win.
# What it writes: $NEO4J_HOME/conf, /data, /logs.
set -eu

CONF=$NEO4J_HOME/conf
# Variables that begin like settings and are none.
NOT_SETTINGS=" NEO4J_ACCEPT_LICENSE_AGREEMENT NEO4J_AUTH NEO4J_AUTH_PATH NEO4J_DEBUG NEO4J_EDITION NEO4J_HOME NEO4J_PLUGINS NEO4J_SHA256 NEO4J_TARBALL "

fail() {
    echo "$*" >&2
    exit 1
}

is_set() {
    [ -e "$CONF/neo4j.conf" ] && grep -q "^$1=" "$CONF/neo4j.conf"
}

set_default() {
    is_set "$1" || printf '\n%s=%s\n' "$1" "$2" >> "$CONF/neo4j.conf"
}

set_setting() {
    # Options of Java add up; of another setting the last word counts, and twice is an error.
    if [ "$1" != server.jvm.additional ] && is_set "$1"; then
        sed --in-place "/^$1=.*/d" "$CONF/neo4j.conf"
    fi
    printf '%s=%s\n' "$1" "$2" >> "$CONF/neo4j.conf"
}

take_mounted_settings() {
    rm -rf "${CONF:?}"/*
    # Files of a ConfigMap are links into a hidden folder, where this finds them.
    find /conf -type f -exec cp --preserve=mode {} "$CONF" \;
}

take_variables() {
    local name setting
    for name in "${!NEO4J_@}"; do
        [[ "$NOT_SETTINGS" != *" $name "* && -n "${!name}" ]] || continue
        setting=$(sed 's|^NEO4J_||; s|_|.|g; s|\.\.|_|g' <<< "$name")
        if [[ "$setting" =~ ^[0-9] ]]; then
            echo "WARNING: $setting not written to conf file because settings that start with a number are not permitted" >&2
        else
            set_setting "$setting" "${!name}"
        fi
    done
}

set_password() {
    local auth=$1 password
    case "$auth" in
        '') return ;;
        none) set_setting dbms.security.auth_enabled false; return ;;
        neo4j/neo4j) fail "Invalid value for password. It cannot be 'neo4j', which is the default." ;;
        neo4j/?*) password=${auth#neo4j/} ;;
        */*) fail "Invalid admin username, it must be neo4j." ;;
        *) fail "Invalid value for NEO4J_AUTH" ;;
    esac
    [[ "$password" != */* ]] || fail "Invalid value for NEO4J_AUTH"
    # On data that a server has used this changes nothing, and says so.
    neo4j-admin dbms set-initial-password "$password"
}

[ "${1:-}" = neo4j ] || exec "$@"
[ ! -d /conf ] || take_mounted_settings
set_default server.memory.pagecache.size 512M
set_default server.default_listen_address 0.0.0.0
set_default server.directories.run /run
[ ! -d /plugins ] || : "${NEO4J_server_directories_plugins:=/plugins}"
[ ! -d /import ] || : "${NEO4J_server_directories_import:=/import}"
: "${NEO4J_server_directories_logs:=/logs}"
take_variables
if [ -n "${NEO4J_AUTH_PATH:-}" ]; then
    [ -f "$NEO4J_AUTH_PATH" ] || fail "The password file '$NEO4J_AUTH_PATH' does not exist"
    set_password "$(cat "$NEO4J_AUTH_PATH")"
else
    set_password "${NEO4J_AUTH:-}"
fi
# On its own: a failure inside of `eval` would be lost.
command=$(neo4j console --dry-run)
eval exec "$command"
