#!/usr/bin/env bash
# Builds Kubernetes' API server from the Go module proxy, for the tests with one, and
# prints the path of its executable. It takes a quarter of an hour on two cores, and is
# done once: the executable stays in the user's cache folder.
set -euo pipefail

version=1.34.4
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kong-traffic-split
executable=$cache/kube-apiserver-$version

if [ ! -x "$executable" ]; then
  mkdir -p "$cache"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  cd "$work"
  # k8s.io/kubernetes has these beside it in its own repository, and is not for others to
  # require; each is a module of its own.
  staging="api apiextensions-apiserver apimachinery apiserver cli-runtime client-go
    cloud-provider cluster-bootstrap code-generator component-base component-helpers
    controller-manager cri-api cri-client csi-translation-lib dynamic-resource-allocation
    endpointslice externaljwt kms kube-aggregator kube-controller-manager kube-proxy
    kube-scheduler kubectl kubelet metrics mount-utils pod-security-admission
    sample-apiserver sample-cli-plugin sample-controller"
  {
    printf 'module kube-apiserver\n\ngo 1.24.0\n\nrequire k8s.io/kubernetes v%s\n\nreplace (\n' "$version"
    for module in $staging; do
      printf '\tk8s.io/%s => k8s.io/%s v0.%s\n' "$module" "$module" "${version#1.}"
    done
    printf ')\n'
  } >go.mod
  symbols=k8s.io/component-base/version
  CGO_ENABLED=0 GOFLAGS=-mod=mod GOWORK=off go build -trimpath -o "$work/kube-apiserver" \
    -ldflags "-s -w -X $symbols.gitVersion=v$version -X $symbols.gitMajor=1 -X $symbols.gitMinor=34" \
    k8s.io/kubernetes/cmd/kube-apiserver >&2
  mv "$work/kube-apiserver" "$executable.$$"
  mv "$executable.$$" "$executable" # at once, if two build it
fi
echo "$executable"
