#!/usr/bin/env bash
# One real Kubernetes cluster on this machine: etcd, API server, controller manager, scheduler, name server,
# and a node (kubelet, containerd, runc, kube-proxy). All of it is in one network namespace without an uplink:
# nothing of it reaches the outside, and clusters of different names run side by side. Wants root.
#
#   cluster.sh up [--no-node]              start; --no-node: without a node, so that no pod ever runs
#   cluster.sh down                        stop all, remove all; also what a killed run left behind
#   cluster.sh keep [--no-node]            down and up, print "up STATUS", wait for the end of input, then down:
#                                          the cluster goes with what started it. What it says is in
#                                          /run/docmill-clusters/NAME.log; a second one of the name waits.
#   cluster.sh exec CMD...                 run CMD in the cluster's network namespace
#   cluster.sh load TAR...                 import images into the node's containerd
#   cluster.sh tag IMAGE NAME              give an image of the node's containerd another name beside its own
#   cluster.sh status                      processes, their memory and processor time
#   cluster.sh start NAME CMD...           run CMD in the namespace in the background until stop or down
#   cluster.sh stop NAME [SIGNAL]          stop a component, by SIGTERM (after 10 s by SIGKILL) or by SIGNAL
#   cluster.sh again NAME                  start a stopped component as it was
#   cluster.sh signal NAME SIGNAL          send it a signal: STOP, CONT, ...
#   cluster.sh forward HOSTPORT HOST PORT  make HOST:PORT of the namespace reachable at 127.0.0.1:HOSTPORT
#   cluster.sh unforward HOSTPORT          take that back
#   cluster.sh expose HOSTPORT             the same for the API server; prints the kubeconfig for it
#
# Components: etcd containerd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy coredns
# provisioner.
#
# CLUSTER_BIN   what build.sh made (required)
# CLUSTER_NAME  small letters, digits and dashes (default: test)
# CLUSTER_HOME  its state; made by up, removed by down (default: /tmp/docmill-cluster-$CLUSTER_NAME)
# CLUSTER_HPA   "stock": autoscalers look every 15 s and shrink after 5 min, as released; else 2 s and 10 s
# CLUSTER_APISERVER_FLAGS, CLUSTER_CONTROLLER_FLAGS  further flags of the two
#
# Feature gates are as released. Network policies are accepted and not enforced: the bridge plugin knows none.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
# shellcheck source-path=SCRIPTDIR
. "$here/parts.sh"

up() {
  local node=yes hpa=() starting=yes # what ends early is not waited for
  [ "${1:-}" = --no-node ] && node=no
  [ ! -e "$CLUSTER_HOME" ] || fail "already up, or not taken down: $CLUSTER_HOME"
  # The longest path of a socket is 107 bytes, and the kubelet's are up to 40 below this.
  [ ${#CLUSTER_HOME} -le 60 ] || fail "CLUSTER_HOME is longer than 60 bytes"
  mkdir -p "$pki" "$logs" "$pids" "$commands" "$cfg" "$CLUSTER_HOME/volumes"
  touch "$marker"
  net_up
  configs
  "$CLUSTER_BIN/cluster" pki -dir "$pki" -nodes $NODE=$NODE_IP -sans 127.0.0.1,$NODE_IP,$API_SERVICE_IP
  # It is thrown away: what a disk would keep is of no use.
  start etcd "$CLUSTER_BIN/etcd" --name=default --data-dir="$CLUSTER_HOME/etcd" --unsafe-no-fsync \
    --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
    --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 \
    --initial-cluster=default=http://127.0.0.1:2380
  if [ $node = yes ]; then
    cgroups_up
    machine_keep
    start containerd containerd --config "$cfg/containerd.toml"
  fi
  # shellcheck disable=SC2086 # several flags
  start kube-apiserver "$CLUSTER_BIN/kube-apiserver" \
    --etcd-servers=http://127.0.0.1:2379 --bind-address=0.0.0.0 --secure-port=6443 --advertise-address=$NODE_IP \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
    --service-cluster-ip-range=$SERVICE_CIDR --allow-privileged=true \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
    --kubelet-client-certificate="$pki/apiserver-kubelet-client.crt" --kubelet-client-key="$pki/apiserver-kubelet-client.key" \
    --kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --requestheader-client-ca-file="$pki/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy-client \
    --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group \
    --requestheader-username-headers=X-Remote-User \
    --proxy-client-cert-file="$pki/front-proxy-client.crt" --proxy-client-key-file="$pki/front-proxy-client.key" \
    --enable-aggregator-routing=true ${CLUSTER_APISERVER_FLAGS:-}
  wait_for 180 "API server ready" in_ns "$CLUSTER_BIN/kubectl" get --raw /readyz
  [ "${CLUSTER_HPA:-}" = stock ] ||
    hpa=(--horizontal-pod-autoscaler-sync-period=2s --horizontal-pod-autoscaler-downscale-stabilization=10s)
  # shellcheck disable=SC2086
  start kube-controller-manager "$CLUSTER_BIN/kube-controller-manager" --kubeconfig="$pki/controller-manager.kubeconfig" \
    --bind-address=127.0.0.1 --leader-elect=false --use-service-account-credentials=true \
    --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" \
    --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key" \
    --service-cluster-ip-range=$SERVICE_CIDR --cluster-cidr=$POD_CIDR --allocate-node-cidrs=false \
    --node-monitor-period=2s --node-monitor-grace-period=20s --kube-api-qps=200 --kube-api-burst=400 \
    --flex-volume-plugin-dir="$CLUSTER_HOME/volume-plugins" "${hpa[@]}" ${CLUSTER_CONTROLLER_FLAGS:-}
  start kube-scheduler "$CLUSTER_BIN/kube-scheduler" --kubeconfig="$pki/scheduler.kubeconfig" \
    --bind-address=127.0.0.1 --leader-elect=false
  in_ns "$CLUSTER_BIN/kubectl" apply -f "$cfg/storageclass.yaml" >/dev/null
  start provisioner "$CLUSTER_BIN/cluster" provisioner -dir "$CLUSTER_HOME/volumes" -kubeconfig "$KUBECONFIG"
  if [ $node = yes ]; then
    wait_for 30 "containerd up" ctr -a "$sock" version
    load "$CLUSTER_BIN"/*.tar
    start kubelet "$CLUSTER_BIN/kubelet" --config="$cfg/kubelet.yaml" --kubeconfig="$pki/kubelet-$NODE.kubeconfig" \
      --hostname-override=$NODE --node-ip=$NODE_IP --root-dir="$CLUSTER_HOME/kubelet" --cert-dir="$CLUSTER_HOME/kubelet/pki"
    start kube-proxy "$CLUSTER_BIN/kube-proxy" --config="$cfg/kube-proxy.yaml" --hostname-override=$NODE
    start coredns "$CLUSTER_BIN/coredns" -conf "$cfg/Corefile"
    wait_for 120 "node registered" in_ns "$CLUSTER_BIN/kubectl" get node $NODE
    wait_for 120 "node ready" in_ns "$CLUSTER_BIN/kubectl" wait --for=condition=Ready node/$NODE --timeout=1s
  fi
  wait_for 60 "default service account" in_ns "$CLUSTER_BIN/kubectl" -n default get serviceaccount default
  all_alive
  echo "KUBECONFIG=$KUBECONFIG in the namespace: $0 exec CMD"
}

load() {
  local f
  for f in "$@"; do ctr -a "$sock" -n k8s.io images import "$f" >/dev/null; done
}

tag() { ctr -a "$sock" -n k8s.io images tag "$1" "$2" >/dev/null; }

# A Unix socket crosses network namespaces: one socat on each side of it.
forward() { # HOSTPORT HOST PORT
  local s=$CLUSTER_HOME/forward-$1.sock
  start "forward-$1-in" socat "UNIX-LISTEN:$s,fork,unlink-early" "TCP:$2:$3"
  background "forward-$1-out" socat "TCP-LISTEN:$1,bind=127.0.0.1,fork,reuseaddr" "UNIX-CONNECT:$s"
  wait_for 10 "127.0.0.1:$1 listens" listens "$s" "$1"
}

unforward() { # HOSTPORT
  stop "forward-$1-out"
  stop "forward-$1-in"
  rm -f "$CLUSTER_HOME/forward-$1.sock"
}

expose() { # HOSTPORT
  forward "$1" 127.0.0.1 6443 >&2
  sed "s#https://127.0.0.1:6443#https://127.0.0.1:$1#" "$KUBECONFIG" >"$CLUSTER_HOME/kubeconfig"
  chmod 600 "$CLUSTER_HOME/kubeconfig"
  echo "$CLUSTER_HOME/kubeconfig"
}

down() {
  set +e # carry on whatever is missing
  local n p
  local containers sandboxes sockets
  # What containerd noted of each container, as it may be dead itself.
  containers=$(ls "$bundles" 2>/dev/null)
  sandboxes=$(grep -oh '/run/netns/cni-[0-9a-f-]*' "$bundles"/*/config.json 2>/dev/null | sort -u)
  sockets=$(grep -h . "$bundles"/*/address 2>/dev/null | sort -u)
  for n in "$pids"/*; do [ -e "$n" ] && kill_component "${n##*/}" KILL; done
  # Shims of this containerd only, then what is left in the pods, then anything else in the namespace.
  for p in $(pgrep -f -- "-address $sock"); do kill -9 "$p"; done 2>/dev/null
  cgroups_kill
  # shellcheck disable=SC2046 # several
  kill -9 $(ip netns pids "$ns" 2>/dev/null) 2>/dev/null
  for n in $sockets; do rm -f "${n#unix://}"; done
  for n in 1 2 3; do # a mount of a process that just dies is busy
    awk -v h="$CLUSTER_HOME/" 'index($2, h) == 1 {print $2}' /proc/mounts | sort -r | while read -r p; do umount -l "$p"; done
    grep -q " $CLUSTER_HOME/" /proc/mounts || break
    sleep 0.1
  done
  for n in $sandboxes; do ip netns del "${n##*/}" 2>/dev/null; done
  ip netns del "$ns" 2>/dev/null
  for n in $containers; do rm -f /var/lib/cni/results/*-"$n"-*; done
  cgroups_down
  for n in /var/log/containers/*; do # links that the kubelet leaves
    [[ $(readlink "$n") != "$CLUSTER_HOME"/* ]] || rm -f "$n"
  done
  machine_restore
  [ ! -e "$marker" ] || rm -rf --one-file-system "$CLUSTER_HOME"
  [ ! -e "$CLUSTER_HOME" ] || fail "not removed: $CLUSTER_HOME"
}

keep() {
  local rc=0 log=$shared/$CLUSTER_NAME.log
  mkdir -p "$shared"
  exec 8>"$shared/$CLUSTER_NAME.lock"
  flock 8
  # Programs of their own: one that fails ends itself only, and none holds the lock for longer than we do.
  "$here/cluster.sh" down >"$log" 2>&1 8>&-
  "$here/cluster.sh" up "$@" >>"$log" 2>&1 8>&- || rc=$?
  trap '' PIPE # nobody may be left to read it
  echo "up $rc" || true
  while read -r _; do :; done
  "$here/cluster.sh" down >>"$log" 2>&1 8>&-
}

status() {
  local n p
  for n in "$pids"/*; do
    if alive "${n##*/}"; then
      p=$(pid "${n##*/}")
      printf '%-26s pid %-7s rss %6d MiB cpu %s\n' "${n##*/}" "$p" \
        "$(($(awk '/VmRSS/{print $2}' "/proc/$p/status") / 1024))" "$(ps -o time= -p "$p")"
    else echo "${n##*/} DEAD"; fi
  done
}

c=${1:-}
shift || true
case $c in
  up) up "$@" ;;
  down) down ;;
  keep) keep "$@" ;;
  exec) in_ns "$@" ;;
  load) load "$@" ;;
  tag) tag "$1" "$2" ;;
  status) status ;;
  start) start "$@" ;;
  stop) stop "$@" ;;
  again) again "$1" ;;
  signal) kill_component "$1" "$2" ;;
  forward) forward "$@" ;;
  unforward) unforward "$1" ;;
  expose) expose "$1" ;;
  *) sed -n '2,32p' "$0"; exit 2 ;;
esac
