"""The real istiod, with the mesh configuration that a user would have."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Any, Self

import yaml

from . import places
from .kube import Kube, Resource
from .process import Program, status_of

XDS = "127.0.0.1:15010"
HTTP = "127.0.0.1:8081"
WEBHOOK = "127.0.0.1:15017"

# Neither a certificate authority nor injection is needed here. The last two would put filters in
# place that only Istio's own build of Envoy has.
ENVIRONMENT = {
    "POD_NAME": "istiod-0",
    "POD_NAMESPACE": "istio-system",
    "CLUSTER_ID": "Kubernetes",
    "ENABLE_CA_SERVER": "false",
    "PILOT_CERT_PROVIDER": "none",
    "INJECT_ENABLED": "false",
    "VALIDATION_WEBHOOK_CONFIG_NAME": "",
    "INJECTION_WEBHOOK_CONFIG_NAME": "",
    "XDS_AUTH": "false",
    "PILOT_ENABLE_GATEWAY_API": "false",
    "PILOT_ENABLE_GATEWAY_API_STATUS": "false",
    "PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER": "false",
    "PILOT_ENABLE_AMBIENT": "false",
    "PILOT_ENABLE_STATUS": "true",
    "PILOT_ENABLE_ANALYSIS": "true",
    "PILOT_ENABLE_XDS_IDENTITY_CHECK": "false",
    "PILOT_ENABLE_METADATA_EXCHANGE": "false",
    "PILOT_ENABLE_ALPN_FILTER": "false",
}


def mesh_config() -> dict[str, Any]:
    """istio/mesh-config.yaml, as a user merges it, with what this place needs."""
    shipped = yaml.safe_load((places.ISTIO / "mesh-config.yaml").read_text())
    local = {"discoveryAddress": XDS, "controlPlaneAuthPolicy": "NONE"}
    return {
        **shipped,
        "defaultConfig": {**shipped["defaultConfig"], **local},
        "trustDomain": "cluster.local",
        "enablePrometheusMerge": False,
        "ingressControllerMode": "OFF",
        # Without certificates a cluster that wants them would hold up every listener.
        "enableAutoMtls": False,
    }


class Istiod:
    """A running istiod. Use it as a context manager."""

    def __init__(self, folder: Path, kube: Kube):
        self._folder, self._kube = folder, kube
        self.mesh_file = folder / "mesh.yaml"
        self.program = Program(
            "istiod",
            folder,
            self._command(),
            lambda: status_of(f"http://{HTTP}/ready") == 200,
            ENVIRONMENT,
        )

    def _command(self) -> list[object]:
        certificate = self._folder / "webhook.crt"
        return [
            *(places.program("pilot-discovery"), "discovery", "--registries=Kubernetes"),
            *("--kubeconfig", self._kube.kubeconfig, "--meshConfig", self.mesh_file),
            *("--networksConfig", self._folder / "none", "--httpAddr", HTTP),
            *("--httpsAddr", WEBHOOK, "--tlsCertFile", certificate),
            *("--tlsKeyFile", self._folder / "webhook.key"),
            # With one file for both istiod serves no certificate at all.
            *("--caCertFile", self._folder / "webhook-ca.crt"),
            *("--grpcAddr", XDS, "--secureGRPCAddr", "", "--monitoringAddr", "127.0.0.1:15014"),
            *("--ctrlz_port", "0", "--shutdownDuration", "1s", "--profile=false"),
        ]

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        self.mesh_file.write_text(yaml.safe_dump(mesh_config()))
        certificate, key = self._folder / "webhook.crt", self._folder / "webhook.key"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"),
                *("-keyout", key, "-out", certificate, "-subj", "/CN=istiod"),
                *("-addext", "subjectAltName=IP:127.0.0.1"),
            ],
            check=True,
            capture_output=True,
        )
        (self._folder / "webhook-ca.crt").write_bytes(certificate.read_bytes())
        self.program.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.program.stop()

    def webhook(self) -> Resource:
        """Asks istiod about every resource of Istio's, as an installed Istio does."""
        certificate = base64.b64encode((self._folder / "webhook.crt").read_bytes()).decode()
        groups = [
            f"{name}.istio.io" for name in ("security", "networking", "telemetry", "extensions")
        ]
        rule = {
            "operations": ["CREATE", "UPDATE"],
            "apiGroups": groups,
            "apiVersions": ["*"],
            "resources": ["*"],
        }
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "istio-validator"},
            "webhooks": [
                {
                    "name": "validation.istio.io",
                    "clientConfig": {"url": f"https://{WEBHOOK}/validate", "caBundle": certificate},
                    "rules": [rule],
                    "failurePolicy": "Fail",
                    "sideEffects": "None",
                    "admissionReviewVersions": ["v1"],
                }
            ],
        }


def istioctl(*arguments: object) -> tuple[bool, str]:
    """Whether istioctl was content, and what it printed."""
    command = [places.program("istioctl"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.returncode == 0, done.stdout + done.stderr
