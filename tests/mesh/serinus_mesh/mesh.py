"""The whole stack, with the shipped resources installed as a user installs them."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from serinus_e2e import oracle
from serinus_e2e.client import Answer, Client
from serinus_e2e.envoy import eventually
from serinus_e2e.shop import Shop

from . import cluster, places, registry
from .agent import Agent, Role, sidecar
from .front import Front
from .istiod import Istiod
from .kube import Kube, Refused, Resource, kustomize, namespace
from .process import status_of

HOST = "shop.example.com"
SERVICE = "shop.shop.svc.cluster.local"
PAGE_HOST = "serinus.internal"
SHARE = "20%"
SHARE_PPM = 200_000
# A caller whose slot is in the canary's share, and one whose slot is not.
INSIDE = {"x-user-id": oracle.keys_in("shop", 0, SHARE_PPM, 1)[0]}
OUTSIDE = {"x-user-id": oracle.keys_in("shop", SHARE_PPM, oracle.SLOTS, 1)[0]}
# A change is in force in about 0.2 s; a machine that compiles beside it may need far longer.
CHANGE_SECONDS = 60.0


def installation(
    folder: Path, image: str, share: str = SHARE, route: str = "shop"
) -> list[Resource]:
    """What `kubectl apply -k istio/install` applies, with this image and share in its settings."""
    folder.mkdir(parents=True, exist_ok=True)
    kustomization = yaml.safe_load((places.ISTIO / "install/kustomization.yaml").read_text())
    settings = yaml.safe_load((places.ISTIO / "install/settings.yaml").read_text())
    for key in ("resources", "components"):
        kustomization[key] = [
            os.path.relpath(places.ISTIO / "install" / it, folder) if it.startswith("..") else it
            for it in kustomization[key]
        ]
    name, _, digest = image.partition("@")
    settings["data"] |= {"image": f"oci://{name}", "digest": digest, "share": share, "route": route}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    return kustomize(folder)


class Mesh:
    """The running stack. Use it as a context manager."""

    def __init__(self, folder: Path):
        self._folder, self._stack = folder, ExitStack()
        self.times: dict[str, float] = {}
        self._agents = 0

    def __enter__(self) -> Self:
        began = time.monotonic()
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        self.times["all"] = time.monotonic() - began
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        enter, folder = self._stack.enter_context, self._folder
        self.stable, self.canary = enter(Shop("v1")), enter(Shop("v2"))
        self.registry = enter(registry.registry(folder / "registry"))
        self.layout = folder / "image"
        self.digest = registry.build(self.layout)
        self.push()
        self.kube = enter(Kube(folder / "kube"))
        self.times["kube-apiserver"] = self.kube.etcd.ready_after + self.kube.server.ready_after
        self.times["CRDs"] = self.kube.install_crds(*map(places.share, places.CRDS))
        self.kube.apply(*map(namespace, cluster.NAMESPACES))
        self.istiod = enter(Istiod(folder / "istiod", self.kube))
        self.times["istiod"] = self.istiod.program.ready_after
        self.kube.apply(self.istiod.webhook())
        self.front = enter(Front(cluster.EGRESS, SERVICE))
        self.kube.apply(*self.beside())
        self.shipped = installation(folder / "install", self.image)
        eventually(self._apply_shipped, "istiod's webhook answers", CHANGE_SECONDS)
        self.gateway = enter(self.agent(Role("gateway", "istio-ingress", {"istio": "ingress"}, 0)))
        self.times["gateway"] = self.gateway.program.ready_after
        self.web = enter(self.agent(sidecar("web", "web", 1), cluster.EGRESS))
        self.times["sidecar"] = self.web.program.ready_after
        egress = f"http://{cluster.EGRESS[0]}:{cluster.EGRESS[1]}"
        self._application = enter(httpx.Client(base_url=egress, timeout=20))
        with self.client() as client:
            self._policy = policy_in_force(client)

    def _apply_shipped(self) -> bool:
        try:
            self.kube.apply(*self.shipped)
        except Refused as refused:
            if "failed calling webhook" in str(refused):
                return False
            raise
        return True

    def push(self) -> None:
        """Puts the filter's image into the registry."""
        self.image = registry.push(self.layout, "serinus/serinus:1")

    def beside(self) -> list[Resource]:
        """What the cluster holds beside the shipped resources."""
        return [
            cluster.service("shop"),
            cluster.service("web"),
            cluster.pod("shop", "v1", self.stable.port),
            cluster.pod("shop", "v2", self.canary.port),
            cluster.pod("web", "v1", cluster.INBOUND_PORT),
            cluster.gateway("ingress", cluster.GATEWAY_PORT),
            cluster.front_sidecar(self.front.port),
            cluster.front_route(),
            cluster.plaintext(),
        ]

    def agent(
        self, role: Role, listens: tuple[str, int] = ("127.0.0.1", cluster.GATEWAY_PORT)
    ) -> Agent:
        """A proxy that is ready when something answers on its listener."""
        url = f"http://{listens[0]}:{listens[1]}/"
        host = {"host": SERVICE if role.kind == "sidecar" else HOST}

        def listening() -> bool:
            return status_of(url, host) in (200, 403, 500)

        self._agents += 1
        folder = self._folder / f"{role.name}-{self._agents}"
        return Agent(folder, role, self.istiod, listening)

    def resource(self, kind: str, namespace: str, name: str) -> Resource:
        """One of the shipped resources, to be changed at will."""
        wanted = (kind, namespace, name)
        for it in self.shipped:
            if (it["kind"], it["metadata"].get("namespace"), it["metadata"]["name"]) == wanted:
                return copy.deepcopy(it)
        raise AssertionError(f"istio/install has no {wanted}")

    def plugin(self, namespace: str = "istio-ingress") -> Resource:
        """The WasmPlugin of the gateway, or of the callers' sidecars."""
        return self.resource("WasmPlugin", namespace, "serinus")

    def restore(self) -> None:
        """Back to what was installed, at both proxies."""
        self.kube.apply(*self.beside(), *self.shipped)
        with self.client() as client:
            eventually(lambda: self._is_as_installed(client), "all is back", CHANGE_SECONDS)

    def _is_as_installed(self, client: Client) -> bool:
        answers = [client.ask(headers=OUTSIDE), client.ask(headers=INSIDE)]
        answers += [self.from_application(OUTSIDE), self.from_application(INSIDE)]
        return (
            # The shops of some tests answer without a body.
            all(answer.status == 200 and answer.response.text for answer in answers)
            and [answer.version for answer in answers] == ["v1", "v2"] * 2
            and policy_in_force(client) == self._policy
        )

    def from_application(self, headers: dict[str, str], host: str = SERVICE) -> Answer:
        """A call of the service that the pod's application makes by way of its sidecar."""
        return Answer(self._application.get("/", headers={"host": host, **headers}))

    def client(self) -> Client:
        return Client(cluster.GATEWAY_PORT, http2=False)


def policy_of(plugin: Resource) -> dict[str, Any]:
    return plugin["spec"]["pluginConfig"]


def set_share(plugin: Resource, share: str) -> Resource:
    policy_of(plugin)["routes"][0]["variants"][0]["share"] = share
    return plugin


def page(client: Client, name: str) -> Answer:
    """One of the filter's own pages."""
    return client.ask(f"/serinus/{name}", host=PAGE_HOST, explain=False)


def policy_in_force(client: Client) -> str:
    """Differs for every text of a policy; empty while the newest one is refused, or without one."""
    answer = page(client, "healthz")
    return answer.response.json()["policy"]["version"] if answer.status == 200 else ""


def took(change: Callable[[], object], seen: Callable[[], object], what: str) -> float:
    """Seconds from before a change until it is seen."""
    began = time.monotonic()
    change()
    eventually(seen, what, CHANGE_SECONDS)
    return time.monotonic() - began
