"""The real Envoy Gateway on a machine without Kubernetes: resources from files, Envoy as a process.

In this mode it still fetches modules as in a cluster, by way of a service of its own, and so looks
for its certificate in /certs and for its name in /etc/hosts. Both are put in place by a chroot into
a view of this machine's own folders.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

import yaml

from . import places
from .kube import Resource
from .process import Program, status_of

PORT = 8880
NAME = "envoy-gateway.envoy-gateway-system.svc.cluster.local"
GROUP = "gateway.envoyproxy.io"

# What of the machine is seen under the new root.
VIEW = r"""
set -eu
root=$1 certificates=$2 name=$3
shift 3
mount -t tmpfs none "$root"
for entry in /*; do
    case $entry in /certs | "$root") continue ;; esac
    if [ -L "$entry" ]; then cp -a "$entry" "$root$entry"
    elif [ -d "$entry" ]; then mkdir "$root$entry"; mount --rbind "$entry" "$root$entry"
    fi
done
ln -s "$certificates" "$root/certs"
printf '127.0.0.1 localhost %s\n' "$name" >"$root/hosts"
mount --bind "$root/hosts" "$root/etc/hosts"
exec chroot "$root" "$@"
"""


class EnvoyGateway:
    """A running Envoy Gateway. Use it as a context manager."""

    def __init__(self, folder: Path, resources: list[Resource]):
        self._folder, self._resources = folder, resources
        self._config_home = folder / "config"
        self._served = folder / "resources"
        binary = places.program("envoy-gateway")
        command = [
            *("unshare", "--mount", "bash", "-c", VIEW, "view", folder / "root"),
            *(self._config_home / "certs/envoy", NAME),
            *(binary, "server", "--config-path", folder / "envoy-gateway.yaml"),
        ]
        self.program = Program("envoy-gateway", folder, command, self._is_ready)

    @staticmethod
    def _is_ready() -> bool:
        host = {"host": "shop.example.com"}
        return status_of(f"http://127.0.0.1:{PORT}/", host) == 200

    def __enter__(self) -> Self:
        for part in ("root", "resources", "run", "state"):
            (self._folder / part).mkdir(parents=True)
        envoy = self._folder / f"data/envoy-versions/{places.ENVOY_VERSION}/bin/envoy"
        envoy.parent.mkdir(parents=True)
        shutil.copy(places.envoy(), envoy)
        settings = {
            "apiVersion": f"{GROUP}/v1alpha1",
            "kind": "EnvoyGateway",
            "gateway": {"controllerName": f"{GROUP}/gatewayclass-controller"},
            "provider": {
                "type": "Custom",
                "custom": {
                    "resource": {"type": "File", "file": {"paths": [str(self._served)]}},
                    "infrastructure": {"type": "Host", "host": self._host()},
                },
            },
            "extensionApis": {"enableBackend": True},
        }
        (self._folder / "envoy-gateway.yaml").write_text(yaml.safe_dump(settings))
        certify = ["certgen", "--local", "--config-home", self._config_home]
        subprocess.run(
            [places.program("envoy-gateway"), *certify],
            check=True,
            capture_output=True,
            env={**os.environ, "HOME": str(self._folder)},
        )
        self.serve(self._resources)
        self.program.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.program.stop()

    def _host(self) -> dict[str, str]:
        homes = {"configHome": "config", "dataHome": "data", "stateHome": "state"}
        return {name: str(self._folder / part) for name, part in homes.items()} | {
            "runtimeDir": str(self._folder / "run")
        }

    def serve(self, resources: list[Resource]) -> None:
        """Puts these in place of the ones before, by a rename."""
        text = yaml.safe_dump_all([*self._beside(), *resources])
        part = self._folder / "resources.part"
        part.write_text(text)
        os.replace(part, self._served / "all.yaml")

    def _beside(self) -> list[Resource]:
        """What the shipped resources need, and the certificate that Envoy shows for a module."""
        certificates = self._config_home / "certs/envoy"
        held = {
            it.name: base64.b64encode(it.read_bytes()).decode()
            for it in certificates.iterdir()
            if it.is_file()
        }
        proxy = {"group": GROUP, "kind": "EnvoyProxy", "name": "shop", "namespace": "default"}
        version = {"type": "Host", "host": {"envoyVersion": places.ENVOY_VERSION}}
        return [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "kubernetes.io/tls",
                "metadata": {"name": "envoy", "namespace": "envoy-gateway-system"},
                "data": held,
            },
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "GatewayClass",
                "metadata": {"name": "envoy"},
                "spec": {
                    "controllerName": f"{GROUP}/gatewayclass-controller",
                    "parametersRef": proxy,
                },
            },
            {
                "apiVersion": f"{GROUP}/v1alpha1",
                "kind": "EnvoyProxy",
                "metadata": {"name": "shop", "namespace": "default"},
                "spec": {"provider": version},
            },
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "Gateway",
                "metadata": {"name": "shop", "namespace": "default"},
                "spec": {
                    "gatewayClassName": "envoy",
                    "listeners": [{"name": "http", "protocol": "HTTP", "port": PORT}],
                },
            },
        ]
