#!/usr/bin/env bash
# Puts a Prometheus at target/prometheus/prometheus for the end-to-end tests: the one that is
# installed, else that of Debian's package, which is unpacked there and not installed. Running it
# again changes nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
place=$(cd "$here/../.." && pwd)/target/prometheus

missing() {
    echo "serinus: prometheus is missing: install it (on Debian: apt-get install prometheus)" >&2
    exit 1
}

[ ! -x "$place/prometheus" ] || exit 0
mkdir -p "$place"
if installed=$(command -v prometheus); then
    ln -sf "$installed" "$place/prometheus"
    exit 0
fi

command -v apt-get >/dev/null && command -v dpkg >/dev/null || missing
echo "serinus: fetching Prometheus"
rm -rf "$place.part"
mkdir -p "$place.part"
cd "$place.part"
# Whoever runs this reads the folder; apt's own user may not.
fetch() { apt-get download -qq -o APT::Sandbox::User="$(id -un)" prometheus >/dev/null 2>&1; }
# The lists of packages may be missing or old; only root may renew them.
fetch || { apt-get update -qq >/dev/null 2>&1 && fetch; } || missing
dpkg -x ./*.deb unpacked
mv unpacked/usr/bin/prometheus "$place/prometheus"
rm -rf "$place.part"
