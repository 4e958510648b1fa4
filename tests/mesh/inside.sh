#!/usr/bin/env bash
# Runs a command in a network of its own, with nothing but a loopback, and with folders of its own
# where Istio's agent insists on fixed ones. All processes that it leaves behind end with it.
#
#   inside.sh COMMAND [ARGUMENT…]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

missing() { echo "serinus: $1" >&2; exit 1; }

[ "$(uname -s)" = Linux ] || missing "the mesh tests need Linux: they run in network namespaces"
command -v unshare >/dev/null || missing "unshare is missing: install util-linux"
command -v ip >/dev/null || missing "ip is missing: install iproute2"

if [ "${1:-}" != --inside ]; then
    own=()
    [ "$(id -u)" = 0 ] || own=(--map-root-user)
    unshare "${own[@]}" --net true 2>/dev/null ||
        missing "no network namespace can be made: run as root, or allow user namespaces"
    exec unshare "${own[@]}" --net --mount --pid --fork --kill-child --mount-proc \
        "$here/inside.sh" --inside "$@"
fi
shift
ip link set lo up
# For callers of a private network, and of the internet.
ip address add 10.1.2.3/32 dev lo
ip address add 203.0.113.5/32 dev lo
# The agent keeps the modules that it fetches there and nowhere else.
mkdir -p /var/lib/istio 2>/dev/null || missing "/var/lib/istio is missing: create it, Istio's agent needs it"
mount -t tmpfs none /var/lib/istio
mkdir /var/lib/istio/data
exec "$@"
