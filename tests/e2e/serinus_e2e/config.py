"""Makes the example files of envoy-config/ runnable here.

Only addresses and file paths are replaced, so that what is tested is what a user copies. A test
that needs another setting (a trusted hop more, larger headers) says so with `edit`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from . import paths

Config = dict[str, Any]

# The ports of the example files. Envoy is given port 0 for its own, so that runs can't collide.
LISTENER, ADMIN, SHOP_V1, SHOP_V2, COLLECTOR = 10000, 9901, 8001, 8002, 9411


@dataclass(frozen=True)
class Upstreams:
    """Ports on the loopback address where the two versions of the shop answer, and spans go."""

    v1: int
    v2: int
    # Where spans go; port 0 takes none.
    collector: int = 0


def render(
    name: str,
    folder: Path,
    upstreams: Upstreams,
    edit: Callable[[Config], None] | None = None,
    uncomment: str = "",
) -> Config:
    """The example file `name` with this machine's ports and with its files in `folder`.

    Its comments that begin with `uncomment` take effect.
    """
    ports = {LISTENER: 0, ADMIN: 0, SHOP_V1: upstreams.v1, SHOP_V2: upstreams.v2}
    ports[COLLECTOR] = upstreams.collector
    files = {
        "/etc/serinus/serinus.wasm": str(paths.wasm()),
        "/etc/serinus/ecds-filter.yaml": str(folder / "ecds-filter.yaml"),
        "/dev/stdout": str(folder / "access.log"),
    }

    def local(node: Any) -> Any:
        if isinstance(node, list):
            return [local(item) for item in node]
        if isinstance(node, str):
            return files.get(node, node)
        if not isinstance(node, dict):
            return node
        if "port_value" in node:
            return {"address": "127.0.0.1", "port_value": ports[node["port_value"]]}
        return {key: local(value) for key, value in node.items()}

    text = (paths.ENVOY_CONFIG / name).read_text()
    if uncomment:
        assert f"# {uncomment}" in text
        text = text.replace(f"# {uncomment}", uncomment)
    config = local(yaml.safe_load(text))
    if edit:
        edit(config)
    return config


def connection_manager(config: Config) -> Config:
    """The settings of the listener's HTTP connection manager."""
    chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
    return chain["filters"][0]["typed_config"]


def policy_value(filter_config: Config) -> Config:
    """The StringValue that holds the policy, inside a Wasm filter's `typed_config`."""
    return filter_config["config"]["configuration"]


class PolicyFile:
    """The file of ecds.yaml that holds the filter and its policy."""

    def __init__(self, folder: Path, upstreams: Upstreams):
        self._path = folder / "ecds-filter.yaml"
        self._resource = render("ecds-filter.yaml", folder, upstreams)

    @property
    def policy(self) -> Any:
        """The policy as the example file has it, until `write` replaces it."""
        return json.loads(self._value["value"])

    @property
    def _value(self) -> Config:
        return policy_value(self._resource["resources"][0]["typed_config"])

    @property
    def vm_config(self) -> Config:
        """The settings of the virtual machine; what is changed here is written by `write`."""
        return self._resource["resources"][0]["typed_config"]["config"]["vm_config"]

    def write(self, policy: Any) -> None:
        """Puts a policy in place by a rename, which Envoy notices. Text goes in as it is."""
        self._value["value"] = policy if isinstance(policy, str) else json.dumps(policy)
        beside = self._path.with_suffix(".part")
        beside.write_text(json.dumps(self._resource))
        os.replace(beside, self._path)
