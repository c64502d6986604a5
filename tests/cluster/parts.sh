# What cluster.sh is put together of: the namespace, processes, control groups, settings of the machine.
# shellcheck shell=bash

fail() { echo "cluster: $*" >&2; exit 1; }

CLUSTER_NAME=${CLUSTER_NAME:-test}
CLUSTER_HOME=${CLUSTER_HOME:-/tmp/docmill-cluster-$CLUSTER_NAME}
CLUSTER_BIN=${CLUSTER_BIN:?the folder that build.sh made}
[[ $CLUSTER_NAME =~ ^[a-z0-9-]+$ ]] || fail "CLUSTER_NAME: small letters, digits and dashes"
[[ $CLUSTER_HOME = /* ]] || fail "CLUSTER_HOME is not an absolute path"
[ "$(id -u)" = 0 ] || fail "namespaces, mounts and control groups want root"

# 198.18.0.0/15 is the range set aside for tests of network devices.
NODE=node0 NODE_IP=198.19.255.1 POD_CIDR=198.18.0.0/16 SERVICE_CIDR=198.19.0.0/17 API_SERVICE_IP=198.19.0.1
ns=docmill-$CLUSTER_NAME # also of its control groups
pki=$CLUSTER_HOME/pki logs=$CLUSTER_HOME/logs cfg=$CLUSTER_HOME/config
pids=$CLUSTER_HOME/pids commands=$CLUSTER_HOME/commands
sock=$CLUSTER_HOME/containerd.sock
bundles=$CLUSTER_HOME/containerd-run/io.containerd.runtime.v2.task/k8s.io
# down removes a folder only with this in it: the path comes from outside.
marker=$CLUSTER_HOME/.docmill-cluster
# Of all clusters of this machine together.
shared=/run/docmill-clusters
export KUBECONFIG=$pki/admin.kubeconfig KUBECACHEDIR=$CLUSTER_HOME/kubectl
t0=$(date +%s%3N)

# Not "ip netns exec": it mounts a new /sys over the one that holds the control groups.
in_ns() { nsenter --net="/run/netns/$ns" -- "$@"; }

wait_for() { # SECONDS WHAT CMD...
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "timed out: $what (logs in $logs)"
    [ -z "${starting:-}" ] || all_alive
    sleep 0.1
  done
  echo "$(($(date +%s%3N) - t0)) ms: $what"
}

# --- Processes: pids/NAME holds the number and the start time, as numbers are used again.

started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
pid() { cut -d' ' -f1 "$pids/$1" 2>/dev/null; }

alive() { # NAME; a zombie is dead
  local p t
  read -r p t 2>/dev/null <"$pids/$1" || return 1
  [ -n "$t" ] && [ "$(started "$p")" = "$t" ] && ! grep -q '^State:.Z' "/proc/$p/status" 2>/dev/null
}

all_alive() {
  local n
  for n in "$pids"/*; do alive "${n##*/}" || fail "it ended: ${n##*/} (logs in $logs)"; done
}

# Runs a command in the background, cut loose from the caller's streams, other files and session: one of the
# files may be a pipe whose end somebody waits for. Everything here execs, so $! is the command itself.
background() { # NAME CMD...
  local name=$1
  shift
  (
    for fd in "/proc/$BASHPID"/fd/*; do
      fd=${fd##*/}
      [ "$fd" -le 2 ] || eval "exec $fd>&-"
    done
    exec setsid "$@"
  ) </dev/null >>"$logs/$name.log" 2>&1 &
  echo "$! $(started $!)" >"$pids/$name"
}

start() { # NAME CMD...
  local name=$1
  shift
  ! alive "$name" || fail "$name runs"
  printf '%q ' "$@" >"$commands/$name"
  background "$name" nsenter --net="/run/netns/$ns" -- "$@"
}

again() { # NAME
  local words
  [ -f "$commands/$1" ] || fail "never started: $1"
  eval "words=($(cat "$commands/$1"))"
  start "$1" "${words[@]}"
}

kill_component() { # NAME SIGNAL
  alive "$1" || return 0
  kill "-$2" "$(pid "$1")"
}

stop() { # NAME [SIGNAL]
  kill_component "$1" "${2:-TERM}"
  # One that is stopped in its tracks takes no other signal.
  kill_component "$1" CONT
  for _ in $(seq 100); do
    alive "$1" || break
    sleep 0.1
  done
  kill_component "$1" KILL
  rm -f "$pids/$1"
}

listens() { # SOCKET PORT
  [ -S "$1" ] && (: <"/dev/tcp/127.0.0.1/$2")
}

# --- Network and configuration.

net_up() {
  ip netns add "$ns"
  in_ns ip link set lo up
  # A carrier and a default route that lead nowhere: Service addresses must pass the route look-up before
  # netfilter can rewrite them.
  in_ns ip link add node0 type veth peer name node0p
  in_ns ip addr add $NODE_IP/24 dev node0
  in_ns ip link set node0 up
  in_ns ip link set node0p up
  in_ns ip route add default dev node0
  in_ns sysctl -qw net.ipv4.ip_forward=1
  in_ns sysctl -qw net.bridge.bridge-nf-call-iptables=1 || true
}

configs() {
  local f
  mkdir -p "$cfg/cni"
  export NODE NODE_IP POD_CIDR CLUSTER_HOME ns pki cfg sock
  for f in "$here"/config/*; do
    # shellcheck disable=SC2016 # envsubst reads them
    envsubst '$NODE $NODE_IP $POD_CIDR $CLUSTER_HOME $ns $pki $cfg $sock' <"$f" >"$cfg/${f##*/}"
  done
  mv "$cfg/10-bridge.conflist" "$cfg/cni/"
  printf 'nameserver %s\n' $NODE_IP >"$cfg/resolv.conf"
}

# --- Control groups: the kubelet's root must be there before it starts, in every hierarchy. Each cluster has
# its own, as a kubelet removes groups that it does not know.

hierarchies() {
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then echo /sys/fs/cgroup/; else ls -d /sys/fs/cgroup/*/; fi
}

cgroups_up() {
  local h c
  for h in $(hierarchies); do mkdir -p "$h$ns"; done
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    for c in $(cat /sys/fs/cgroup/cgroup.controllers); do
      for h in /sys/fs/cgroup "/sys/fs/cgroup/$ns"; do echo "+$c" >"$h/cgroup.subtree_control" 2>/dev/null || true; done
    done
  else # a new group of version 1 has no processor and no memory until it is told
    for c in cpus mems; do cat "/sys/fs/cgroup/cpuset/cpuset.$c" >"/sys/fs/cgroup/cpuset/$ns/cpuset.$c"; done
  fi
}

cgroups_kill() {
  local h left
  for _ in $(seq 50); do
    left=$(for h in $(hierarchies); do find "$h$ns" -name cgroup.procs -exec cat {} + 2>/dev/null; done | sort -u)
    [ -n "$left" ] || return 0
    # shellcheck disable=SC2086 # several
    kill -9 $left 2>/dev/null
    sleep 0.1
  done
}

cgroups_down() {
  local h
  for h in $(hierarchies); do find "$h$ns" -depth -type d -exec rmdir {} + 2>/dev/null; done
}

# --- What a node does to the whole machine: the first cluster notes how it was, the last one puts it back.

machine_keep() {
  mkdir -p "$shared"
  (
    flock 9
    mkdir -p "$shared/users"
    touch "$shared/users/$CLUSTER_NAME"
    [ ! -s "$shared/sysctl" ] || exit 0
    sysctl vm.overcommit_memory kernel.panic kernel.panic_on_oops vm.panic_on_oom >"$shared/sysctl"
    # The kubelet's socket for device plugins is there, wherever its own folder is.
    [ -e /var/lib/kubelet ] || touch "$shared/without-kubelet"
  ) 9>"$shared/lock"
}

machine_restore() {
  [ -d "$shared" ] || return 0
  (
    flock 9
    rm -f "$shared/users/$CLUSTER_NAME"
    [ -s "$shared/sysctl" ] && rmdir "$shared/users" 2>/dev/null || exit 0
    sysctl -q -p "$shared/sysctl"
    rm "$shared/sysctl"
    if [ -e "$shared/without-kubelet" ]; then
      rm -rf --one-file-system /var/lib/kubelet/device-plugins "$shared/without-kubelet"
      rmdir /var/lib/kubelet
    fi
    rmdir --ignore-fail-on-non-empty /var/lib/cni/results /var/lib/cni /var/log/containers /run/containerd/s /run/containerd
  ) 9>"$shared/lock" 2>/dev/null
}
