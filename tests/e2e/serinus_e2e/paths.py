"""Where the parts of a checkout lie."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ENVOY_CONFIG = ROOT / "envoy-config"
VERSIONS = (ROOT / "tests/e2e/envoy-versions.txt").read_text().split()


class Missing(RuntimeError):
    """Something that must be built or fetched first is not there."""


def wasm() -> Path:
    """The filter; SERINUS_WASM names another one than `make build` leaves."""
    path = Path(os.environ.get("SERINUS_WASM", ROOT / "target/serinus.wasm"))
    if not path.is_file():
        raise Missing(f"the filter is not built ({path}): run `make build`")
    return path


def crate_version() -> str:
    """The version of the filter, as its crate has it."""
    return tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]


def envoy(version: str) -> Path:
    """The Envoy program of a version of envoy-versions.txt."""
    path = ROOT / "target/envoy" / version / "envoy"
    if not path.is_file():
        raise Missing(f"Envoy {version} is not there ({path}): run tests/e2e/setup.sh")
    return path


def prometheus() -> Path:
    """The Prometheus program."""
    path = ROOT / "target/prometheus/prometheus"
    if not path.is_file():
        raise Missing(f"Prometheus is not there ({path}): run tests/e2e/prometheus.sh")
    return path
