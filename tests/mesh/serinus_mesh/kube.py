"""A real Kubernetes API: etcd, kube-apiserver, and kubectl to speak to it."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import yaml

from . import places
from .process import Program, status_of

ETCD = "http://127.0.0.1:2379"
SERVER = "https://127.0.0.1:6443"
COMMAND_SECONDS = 120

Resource = dict[str, Any]


class Refused(RuntimeError):
    """The API server did not take it; the text is what kubectl said."""


class Kube:
    """A running API. Use it as a context manager."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._certificates = folder / "certificates"
        self.kubeconfig = folder / "kubeconfig.yaml"
        self._token = secrets.token_hex(16)
        self.etcd = Program(
            "etcd", folder, self._etcd(), lambda: status_of(f"{ETCD}/readyz") == 200
        )
        self.server = Program("kube-apiserver", folder, self._server(), self._is_ready)

    def _etcd(self) -> list[object]:
        peer = "http://127.0.0.1:2380"
        return [
            *(places.program("etcd"), "--name", "mesh", "--data-dir", self._folder / "etcd"),
            *("--listen-client-urls", ETCD, "--advertise-client-urls", ETCD),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"mesh={peer}", "--unsafe-no-fsync"),
        ]

    def _server(self) -> list[object]:
        key = self._folder / "service-account.key"
        return [
            places.program("kube-apiserver"),
            f"--etcd-servers={ETCD}",
            *("--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=6443"),
            f"--cert-dir={self._certificates}",
            f"--token-auth-file={self._folder / 'tokens.csv'}",
            *("--authorization-mode=AlwaysAllow", "--endpoint-reconciler-type=none"),
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            # No controller here makes service accounts.
            *("--disable-admission-plugins=ServiceAccount", "--profiling=false"),
        ]

    def _is_ready(self) -> bool:
        # It makes its own certificate at its first start.
        certificate = self._certificates / "apiserver.crt"
        if not certificate.is_file():
            return False
        bearer = {"authorization": f"Bearer {self._token}"}
        return status_of(f"{SERVER}/readyz", bearer, certificate) == 200

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        (self._folder / "tokens.csv").write_text(f'{self._token},admin,admin,"system:masters"\n')
        key = self._folder / "service-account.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        cluster = {"server": SERVER, "certificate-authority": f"{self._certificates}/apiserver.crt"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "mesh", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "mesh", "context": {"cluster": "mesh", "user": "admin"}}],
            "current-context": "mesh",
        }
        self.kubeconfig.write_text(yaml.safe_dump(config))
        self.etcd.start()
        try:
            self.server.start()
        except BaseException:
            self.etcd.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()
        self.etcd.stop()

    def ctl(self, *arguments: object, text: str | None = None) -> str:
        """What kubectl prints."""
        done = subprocess.run(
            [places.program("kubectl"), f"--kubeconfig={self.kubeconfig}", *map(str, arguments)],
            input=text,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        if done.returncode:
            raise Refused(done.stderr.strip())
        return done.stdout

    def apply(self, *resources: Resource) -> None:
        """Creates or replaces; an unknown field is an error, as kubectl has it by default."""
        self.ctl("apply", "--server-side", "--force-conflicts", "-f", "-", text=as_list(resources))

    def dry_run(self, *resources: Resource) -> None:
        """Whether the server would take them, by all its rules."""
        self.ctl(
            "create", "--dry-run=server", "--validate=strict", "-f", "-", text=as_list(resources)
        )

    def delete(self, *resources: Resource) -> None:
        self.ctl("delete", "--ignore-not-found", "--wait=true", "-f", "-", text=as_list(resources))

    def install_crds(self, *files: Path) -> float:
        """Seconds until the server serves them."""
        began = time.monotonic()
        self.ctl("apply", "--server-side", *(f"--filename={file}" for file in files))
        self.ctl("wait", "--for=condition=Established", "crd", "--all", "--timeout=90s")
        return time.monotonic() - began

    def get(self, kind: str, namespace: str, name: str) -> Resource:
        return json.loads(self.ctl("get", kind, name, "-n", namespace, "-o", "json"))


def as_list(resources: Iterable[Resource]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(resources)})


def namespace(name: str) -> Resource:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def kustomize(folder: Path) -> list[Resource]:
    """The resources of a kustomization."""
    command = [places.program("kubectl"), "kustomize", folder]
    built = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    if built.returncode:
        raise Refused(built.stderr.strip())
    return list(yaml.safe_load_all(built.stdout))
