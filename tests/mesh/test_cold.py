"""Proxies that start with something bad: nothing of it may cost a request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from serinus_e2e.client import Client
from serinus_e2e.envoy import eventually
from serinus_mesh import cluster, registry
from serinus_mesh.agent import Agent, Role
from serinus_mesh.kube import Resource
from serinus_mesh.mesh import CHANGE_SECONDS, INSIDE, Mesh, page, policy_of, set_share

PORT = 8090

Cold = Callable[[Callable[[Resource], object]], "ColdStart"]


class ColdStart:
    """A second gateway that has just started, with a WasmPlugin of its own."""

    def __init__(self, mesh: Mesh, agent: Agent, client: Client, plugin: Resource):
        self.mesh, self.agent, self.client, self.plugin = mesh, agent, client, plugin

    @property
    def log(self) -> str:
        return self.agent.log


@contextmanager
def cold_gateway(mesh: Mesh, edit: Callable[[Resource], object]) -> Iterator[ColdStart]:
    plugin, routes = mesh.plugin(), mesh.resource("VirtualService", "shop", "shop")
    plugin["metadata"]["name"] = "serinus-cold"
    plugin["spec"]["selector"] = {"matchLabels": {"istio": "cold"}}
    edit(plugin)
    routes["metadata"]["name"] = "shop-cold"
    routes["spec"]["gateways"] = ["istio-ingress/cold"]
    resources = [cluster.gateway("cold", PORT), routes, plugin]
    mesh.kube.apply(*resources)
    role = Role("cold", "istio-ingress", {"istio": "cold"}, 2)
    try:
        with mesh.agent(role, ("127.0.0.1", PORT)) as agent, Client(PORT, False) as client:
            yield ColdStart(mesh, agent, client, plugin)
    finally:
        mesh.kube.delete(*resources)


def test_a_bad_policy_at_a_cold_start_passes_all_as_stable(mesh: Mesh, proved) -> None:
    with cold_gateway(mesh, lambda plugin: set_share(plugin, "250%")) as cold:
        for _ in range(20):
            assert cold.client.ask(headers=INSIDE).version == "v1"
        assert page(cold.client, "healthz").status in (404, 503)
        eventually(lambda: cold.agent.sum("serinus_policy_rejected") == 1, "it is told", 30)
        eventually(
            lambda: cold.agent.sum("serinus_decisions_total", reason="no-policy") >= 20,
            "decisions without a policy are counted",
            30,
        )
        assert "policy refused" in cold.log
        mesh.kube.apply(set_share(cold.plugin, "20%"))
        eventually(
            lambda: cold.client.ask(headers=INSIDE).version == "v2",
            "a mended policy is in force",
            CHANGE_SECONDS,
        )
    proved("bad policy at a cold start: 200, all stable; log and metric say so; mended in place")


def test_a_missing_image_at_a_cold_start_passes_all_as_stable(mesh: Mesh, proved) -> None:
    def missing(plugin: Resource) -> None:
        plugin["spec"]["url"] = f"oci://{registry.HOST}/serinus/none:1"

    with cold_gateway(mesh, missing) as cold:
        for _ in range(20):
            answer = cold.client.ask(headers=INSIDE)
            assert (answer.status, answer.version) == (200, "v1")
        assert cold.agent.is_ready
        assert "serinus/none" in cold.log
    proved("image missing at a cold start (FAIL_OPEN): 200, all stable")


@pytest.mark.parametrize("strategy", ["FAIL_CLOSE", "FAIL_RELOAD"])
def test_any_other_strategy_would_refuse_all_requests(mesh: Mesh, strategy: str, proved) -> None:
    """Why the manifests say FAIL_OPEN."""

    def missing(plugin: Resource) -> None:
        plugin["spec"]["url"] = f"oci://{registry.HOST}/serinus/none:1"
        plugin["spec"]["failStrategy"] = strategy

    with cold_gateway(mesh, missing) as cold:
        eventually(lambda: cold.client.ask().status == 403, "all is refused", CHANGE_SECONDS)
    proved(f"image missing at a cold start with {strategy}: 403 for all, hence FAIL_OPEN")


def test_a_policy_may_be_absent(mesh: Mesh) -> None:
    with cold_gateway(mesh, lambda plugin: plugin["spec"].pop("pluginConfig")) as cold:
        assert cold.client.ask(headers=INSIDE).version == "v1"


def test_numbers_arrive_as_they_are_meant(mesh: Mesh, proved) -> None:
    """A Struct knows floating point alone."""

    def numbers(plugin: Resource) -> None:
        route = policy_of(plugin)["routes"][0]
        respond = {"status": 426.0, "headers": {}, "body": "too old"}
        old = [{"header": "x-app-version", "semver": "<2.0.0"}]
        route["rules"].insert(0, {"name": "old", "when": old, "then": {"respond": respond}})
        limit = {"signal": "errorRate", "above": "1%", "for": "2m", "minRequests": 65536.0}
        route["gate"] = {"tolerance": 1.5, "limits": [limit]}

    with cold_gateway(mesh, numbers) as cold:
        assert cold.client.ask(headers=INSIDE).version == "v2"
        assert cold.client.ask(headers={"x-app-version": "1.9.0"}).status == 426
        assert page(cold.client, "healthz").status == 200
    proved("numbers through pluginConfig's Struct arrive as whole numbers")
