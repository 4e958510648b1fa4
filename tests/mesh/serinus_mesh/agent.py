"""Istio's agent with an Envoy: a gateway, or a sidecar without a pod's redirection."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx
import yaml

from serinus_e2e.envoy import eventually

from . import places
from .istiod import Istiod
from .process import Program, status_of
from .registry import HOST

_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_PORT_STEP = 1000


@dataclass(frozen=True)
class Role:
    """Which proxy it is to be."""

    name: str
    namespace: str
    labels: dict[str, str]
    # Set apart by this: its ports, and its address, which is that of no endpoint.
    number: int
    kind: str = "router"


class Agent:
    """A running proxy. Use it as a context manager; `ready` says when it serves."""

    def __init__(self, folder: Path, role: Role, istiod: Istiod, ready: Callable[[], object]):
        self.role = role
        step = _PORT_STEP * role.number
        self.admin_port, self.prometheus_port = 15000 + step, 15090 + step
        self._status_port, self._envoy_status_port = 15020 + step, 15021 + step
        self._folder = folder
        template = folder / places.BOOTSTRAP
        folder.mkdir(parents=True)
        template.write_bytes(places.share(places.BOOTSTRAP).read_bytes())
        command = [
            *(places.program("pilot-agent"), "proxy", role.kind),
            *("--domain", f"{role.namespace}.svc.cluster.local"),
            *("--templateFile", template, "--meshConfig", istiod.mesh_file),
            *("--proxyLogLevel=warning", "--proxyComponentLogLevel=wasm:info"),
        ]
        self.program = Program(role.name, folder, command, ready, self._environment())

    def _environment(self) -> dict[str, str]:
        proxy = {
            "binaryPath": str(places.envoy()),
            "configPath": str(self._folder / "conf"),
            "proxyAdminPort": self.admin_port,
            "statusPort": self._status_port,
            "concurrency": 2,
            "drainDuration": "2s",
            "terminationDrainDuration": "1s",
            "proxyMetadata": {"METRICS_LOCALHOST_ACCESS_ONLY": "true"},
        }
        sidecar = {"ISTIO_META_INTERCEPTION_MODE": "NONE"} if self.role.kind == "sidecar" else {}
        return {
            "POD_NAME": f"{self.role.name}-0",
            "POD_NAMESPACE": self.role.namespace,
            "INSTANCE_IP": f"127.0.1.{self.role.number + 1}",
            "SERVICE_ACCOUNT": "default",
            "ISTIO_META_CLUSTER_ID": "Kubernetes",
            "ISTIO_META_WORKLOAD_NAME": self.role.name,
            "ISTIO_META_MESH_ID": "cluster.local",
            "ISTIO_METAJSON_LABELS": json.dumps(self.role.labels),
            "FILE_MOUNTED_CERTS": "true",
            "PILOT_CERT_PROVIDER": "none",
            "CA_ADDR": "",
            "TRUST_DOMAIN": "cluster.local",
            "ENVOY_STATUS_PORT": str(self._envoy_status_port),
            "ENVOY_PROMETHEUS_PORT": str(self.prometheus_port),
            "GRPC_XDS_BOOTSTRAP": "",
            "WASM_INSECURE_REGISTRIES": HOST,
            "PROXY_CONFIG": yaml.safe_dump(proxy),
            **sidecar,
        }

    def __enter__(self) -> Self:
        self.program.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.program.stop()

    @property
    def is_ready(self) -> bool:
        """What Kubernetes would ask."""
        return status_of(f"http://127.0.0.1:{self._status_port}/healthz/ready") == 200

    @property
    def log(self) -> str:
        """What the agent, Envoy and the filter wrote, and the access log."""
        return self.program.log

    def admin(self, path: str) -> str:
        answer = httpx.get(f"http://127.0.0.1:{self.admin_port}{path}", timeout=20)
        return answer.raise_for_status().text

    def scrape(self) -> list[str]:
        """The lines of the port that Prometheus reads."""
        url = f"http://127.0.0.1:{self.prometheus_port}/stats/prometheus"
        return httpx.get(url, timeout=20).raise_for_status().text.splitlines()

    def sum(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels."""
        total = 0.0
        for line in self.scrape():
            series, _, value = line.rpartition(" ")
            metric, _, text = series.partition("{")
            if metric == name and labels.items() <= dict(_LABEL.findall(text)).items():
                total += float(value)
        return total

    def logged(self, part: str) -> dict[str, str]:
        """The access log's line that has `part`."""

        def line() -> str:
            lines = (line for line in self.log.splitlines() if line.startswith("{"))
            return next((line for line in lines if part in line and "serinus" in line), "")

        return json.loads(eventually(line, f"the access log has {part}", 30))

    def config_dump(self) -> str:
        return self.admin("/config_dump?include_eds")


def sidecar(name: str, namespace: str, number: int) -> Role:
    return Role(name, namespace, {"app": name, "version": "v1"}, number, "sidecar")
