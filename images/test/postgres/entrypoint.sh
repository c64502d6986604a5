#!/bin/sh
# The first start on an empty PGDATA makes a cluster, the user, the database, and runs what is in
# /docker-entrypoint-initdb.d; any other start just starts. As in the official image, a first start that is cut
# off in the middle is not made good by the next.
set -eu

# Longest wait for the server that only this script talks to.
READY_LIMIT_S=60

fail() {
    echo "$*" >&2
    exit 1
}

# The value of a variable, or the content of the file that NAME_FILE names.
value() {
    eval "plain=\${$1:-} file=\${$1_FILE:-}"
    [ -z "$plain" ] || [ -z "$file" ] || fail "error: both $1 and $1_FILE are set (but are exclusive)"
    if [ -n "$file" ]; then
        cat "$file"
    else
        printf %s "${plain:-${2:-}}"
    fi
}

# initdb asks for the name of its user; one that /etc/passwd does not have gets one for the time being.
name_user() {
    ! getent passwd "$(id -u)" > /dev/null || return 0
    NSS_WRAPPER_PASSWD=$(mktemp) NSS_WRAPPER_GROUP=$(mktemp)
    echo "postgres:x:$(id -u):$(id -g):PostgreSQL:$PGDATA:/bin/false" > "$NSS_WRAPPER_PASSWD"
    echo "postgres:x:$(id -g):" > "$NSS_WRAPPER_GROUP"
    LD_PRELOAD=$(find /usr/lib -name libnss_wrapper.so | head -n 1)
    export NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP LD_PRELOAD
}

forget_name() {
    [ -n "${NSS_WRAPPER_PASSWD:-}" ] || return 0
    rm -f "$NSS_WRAPPER_PASSWD" "$NSS_WRAPPER_GROUP"
    unset NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP LD_PRELOAD
}

# Over the socket, where nobody is asked for a password.
sql() {
    PGHOST='' psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc --username "$user" "$@"
}

make_cluster() {
    user=$(value POSTGRES_USER postgres)
    database=$(value POSTGRES_DB "$user")
    password=$(value POSTGRES_PASSWORD)
    method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    [ -n "$password" ] || [ "$method" = trust ] || fail \
        "Error: Database is uninitialized and superuser password is not specified.
       Set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE to a non-empty value."

    name_user
    secret=$(umask 0077 && mktemp)
    printf '%s\n' "$password" > "$secret"
    # Where the official image's server listens and Debian's clients look. The variable's words are read as a shell
    # reads them, as in the official image.
    eval 'initdb --pgdata="$PGDATA" --username="$user" --pwfile="$secret" -c "listen_addresses=*"' \
        '-c unix_socket_directories=/var/run/postgresql' "${POSTGRES_INITDB_ARGS:-}"
    rm -f "$secret"
    forget_name
    printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"

    shift
    # Whatever its arguments say, here it is at a place that is known.
    export PGPORT="${PGPORT:-5432}"
    postgres "$@" -c listen_addresses= -p "$PGPORT" &
    server=$!
    tries=0
    until PGHOST='' pg_isready -q -U "$user" -d postgres; do
        tries=$((tries + 1))
        [ $tries -lt $((READY_LIMIT_S * 10)) ] && kill -0 $server 2> /dev/null || fail "PostgreSQL did not start"
        sleep 0.1
    done
    [ "$database" = postgres ] || echo 'CREATE DATABASE :"name"' | sql --dbname postgres --set name="$database"
    for file in /docker-entrypoint-initdb.d/*; do
        case "$file" in
            *.sql) echo "$0: running $file"; sql --dbname "$database" -f "$file" ;;
            */\*) ;;
            *) echo "$0: ignoring $file" ;;
        esac
    done
    kill -INT $server
    wait $server
    echo 'PostgreSQL init process complete; ready for start up.'
}

case "${1:-}" in
    -*) set -- postgres "$@" ;;
esac
if [ "${1:-}" = postgres ]; then
    mkdir -p "$PGDATA"
    # Of a volume that belongs to another, the mode is not ours to change.
    chmod 0700 "$PGDATA" 2> /dev/null || :
    [ -s "$PGDATA/PG_VERSION" ] || make_cluster "$@"
fi
exec "$@"
