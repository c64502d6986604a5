#!/usr/bin/env bash
# Builds what the test cluster runs: the multi-call binary with its names, the name server, two images.
#
#   build.sh key       the name of what would be built: a hash of the sources and of Go's version
#   build.sh OUTDIR    builds there; wants Go 1.26 or newer, and busybox-static
#
# `cargo xtask setup` puts a build at services/cluster/KEY below the cache, and the tests look there: both ask
# this script for the key, so that there is one definition of it.
#
# Go's cache of compiled packages would grow by 3 GB: a build uses one of its own and deletes it.
# CLUSTER_GOCACHE names one to keep, for who changes the sources: 7 seconds of a core then, not 9 minutes.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")"
# Not what a go.work or a vendor folder further up says, nor what a repository around it would stamp in.
export GOWORK=off GOFLAGS="-trimpath -buildvcs=false -mod=readonly" CGO_ENABLED=0

key() {
  {
    go version
    find build.sh control-plane dns images -type f \
      \( -name build.sh -o -name '*.go' -o -name go.mod -o -name go.sum \) -print0 |
      LC_ALL=C sort -z | xargs -0 sha256sum
  } | sha256sum | cut -c1-16
}

build() {
  local out ver minor p=k8s.io/component-base/version name
  out=$(realpath -m "$1")
  mkdir -p "$out"
  if [ -n "${CLUSTER_GOCACHE:-}" ]; then
    export GOCACHE=$CLUSTER_GOCACHE
  else
    # With the result, not where temporary files are: that may be memory.
    GOCACHE=$out/gocache
    export GOCACHE
    # shellcheck disable=SC2064 # as it is now
    trap "rm -rf '$GOCACHE'" EXIT
  fi
  (cd images && go run . "$(command -v busybox)" "$out")
  (cd dns && go build -ldflags "-s -w" -o "$out/coredns" .)
  ver=$(cd control-plane && go list -m -f '{{.Version}}' k8s.io/kubernetes)
  minor=${ver#v1.}
  minor=${minor%%.*}
  # The longest last: what is wrong with the others shows before it.
  (cd control-plane && go build -o "$out/cluster" \
    -ldflags "-s -w -X $p.gitVersion=$ver -X $p.gitMajor=1 -X $p.gitMinor=$minor -X $p.gitTreeState=clean" .)
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
    ln -sfn cluster "$out/$name"
  done
}

case ${1:-} in
  key) key ;;
  ''|-*) sed -n '2,5p' "$0"; exit 2 ;;
  *) build "$1" ;;
esac
