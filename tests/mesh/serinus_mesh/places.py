"""Where the programs and the manifests lie."""

from __future__ import annotations

import os
from pathlib import Path

from serinus_e2e import paths

ROOT = paths.ROOT
ISTIO = ROOT / "istio"
MESH = ROOT / "target/mesh"
# The newest of those that the end-to-end tests run.
ENVOY_VERSION = paths.VERSIONS[0]
PROGRAMS = [
    *("crane", "etcd", "kube-apiserver", "kubectl"),
    *("pilot-discovery", "pilot-agent", "istioctl"),
]
# From the source of Istio and of Envoy Gateway, by build.sh.
CRDS = ["istio-crds.yaml", "envoy-gateway-crds.yaml"]
BOOTSTRAP = "envoy_bootstrap_tmpl.json"


def program(name: str) -> Path:
    path = MESH / "bin" / name
    if not os.access(path, os.X_OK):
        raise paths.Missing(f"{name} is not built ({path}): run tests/mesh/build.sh")
    return path


def share(name: str) -> Path:
    """A file of Istio's own source."""
    path = MESH / "share" / name
    if not path.is_file():
        raise paths.Missing(f"{name} is not there ({path}): run tests/mesh/build.sh")
    return path


def envoy() -> Path:
    return paths.envoy(ENVOY_VERSION)
