"""What the tests' cluster holds beside the shipped resources: services, their pods, a gateway."""

from __future__ import annotations

from .kube import Resource

GATEWAY_PORT = 8080
# Where the callers' sidecar listens for what its application sends, and for what is sent to that.
EGRESS = ("127.0.0.5", 80)
INBOUND_PORT = 8280

NAMESPACES = ["istio-system", "istio-ingress", "shop", "web"]


def service(name: str) -> Resource:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": name},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}]},
    }


def pod(name: str, version: str, port: int) -> Resource:
    """A WorkloadEntry: Endpoints of a real cluster may not be on loopback."""
    labels = {"app": name, "version": version}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {"name": f"{name}-{version}", "namespace": name, "labels": labels},
        "spec": {"address": "127.0.0.1", "labels": labels, "ports": {"http": port}},
    }


def gateway(label: str, port: int) -> Resource:
    """The Gateway that the shipped VirtualService names, or one for another proxy."""
    server = {"port": {"number": port, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "shop" if label == "ingress" else label, "namespace": "istio-ingress"},
        "spec": {"selector": {"istio": label}, "servers": [server]},
    }


def front_sidecar(application_port: int) -> Resource:
    """The listeners of the callers' sidecar, in place of a pod's redirection."""
    http = {"protocol": "HTTP", "name": "http"}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {"name": "web", "namespace": "web"},
        "spec": {
            "workloadSelector": {"labels": {"app": "web"}},
            "egress": [
                {
                    "port": {"number": EGRESS[1], **http},
                    "bind": EGRESS[0],
                    "captureMode": "NONE",
                    "hosts": ["shop/*"],
                }
            ],
            "ingress": [
                {
                    "port": {"number": INBOUND_PORT, **http},
                    "bind": "127.0.0.1",
                    "captureMode": "NONE",
                    "defaultEndpoint": f"127.0.0.1:{application_port}",
                }
            ],
        },
    }


def plaintext() -> Resource:
    """Nobody here has certificates."""
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": "istio-system"},
        "spec": {"mtls": {"mode": "DISABLE"}},
    }


def front_route() -> Resource:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "web", "namespace": "web"},
        "spec": {
            "hosts": ["web.example.com"],
            "gateways": ["istio-ingress/shop"],
            "http": [{"route": [{"destination": {"host": "web.web.svc.cluster.local"}}]}],
        },
    }
