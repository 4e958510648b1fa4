"""The gate at a real gateway: it moves the canary's traffic, and Istio's updates don't open it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serinus_e2e.client import Client
from serinus_e2e.envoy import eventually
from serinus_e2e.quick import QuickShop
from serinus_e2e.traffic import Traffic
from serinus_mesh import cluster, registry
from serinus_mesh.kube import Resource
from serinus_mesh.mesh import CHANGE_SECONDS, HOST, Mesh, page, policy_of, set_share

RATE = 300
# Before anything is judged; the default is a minute, which nobody waits for in a test.
WARMUP_SECONDS = 4
# Evidence of a canary that fails wholly takes a second or two; a busy machine may need far longer.
SHUT_SECONDS = 60.0


class Scene:
    """The gateway under load, both versions behind it, and a plugin whose gate can shut."""

    def __init__(self, mesh: Mesh, client: Client, canary: QuickShop, traffic: Traffic):
        self.mesh, self.client, self.canary, self.traffic = mesh, client, canary, traffic

    def plugin(self, revision: str = "1", **gate: object) -> Resource:
        plugin = set_share(self.mesh.plugin(), "50%")
        route = policy_of(plugin)["routes"][0]
        route["gate"] = {"warmup": f"{WARMUP_SECONDS}s", "revision": revision, **gate}
        return plugin

    def gate(self) -> str:
        document = page(self.client, "state.json").response.json()
        (route,) = (it for it in document["routes"] if it["route"] == "shop")
        (canary,) = (it for it in route["variants"] if it["variant"] == "canary")
        return canary["gate"]["state"]

    def policy_version(self) -> str:
        return page(self.client, "state.json").response.json()["policy"]["version"]

    def vms_created(self) -> float:
        return sum(
            float(line.rpartition(" ")[2])
            for line in self.mesh.gateway.scrape()
            if line.startswith("envoy_wasm_envoy_wasm_runtime_v8_created")
        )


@pytest.fixture
def scene(mesh: Mesh, gateway: Client, restored: None) -> Iterator[Scene]:
    with QuickShop("v1") as stable, QuickShop("v2") as canary:
        mesh.kube.apply(
            cluster.pod("shop", "v1", stable.port), cluster.pod("shop", "v2", canary.port)
        )
        with Traffic(cluster.GATEWAY_PORT, HOST, RATE) as traffic:
            scene = Scene(mesh, gateway, canary, traffic)
            mesh.kube.apply(scene.plugin())
            eventually(lambda: traffic.since(0), "the canary is asked", CHANGE_SECONDS)
            time.sleep(WARMUP_SECONDS + 4)
            assert scene.gate() == "open"
            yield scene


def test_a_shut_gate_moves_the_subsets_traffic_and_istio_does_not_open_it(
    scene: Scene, tmp_path: Path, proved
) -> None:
    began = time.monotonic()
    scene.canary.behave(fail=1.0)
    eventually(lambda: scene.gate() == "shut", "the gate shuts", SHUT_SECONDS)
    time.sleep(1.5)
    last = max(one.at for one in scene.traffic.since(began)) - began
    proved("gateway: a canary that fails wholly is shut, its last request after", last)
    scene.canary.behave()

    stays_shut(scene, "another setting", scene.plugin(tolerance=1.5))
    before = scene.vms_created()
    other_vm = scene.plugin(tolerance=1.5)
    other_vm["spec"]["vmConfig"] = {"env": [{"name": "ANY", "value": "other"}]}
    stays_shut(scene, "a new VM", other_vm)
    assert scene.vms_created() > before, "the change was to start a new VM"
    registry.build(tmp_path / "image", registry.other_module(tmp_path))
    upgraded = scene.plugin(tolerance=1.5)
    upgraded["spec"]["url"] = "oci://" + registry.push(tmp_path / "image", "serinus/serinus:2")
    stays_shut(scene, "another version of the filter", upgraded)
    assert registry.OTHER_VERSION in page(scene.client, "version").response.text
    proved("gateway: the gate stays shut through a new setting, a new VM and a new filter")

    scene.mesh.kube.apply(scene.plugin(revision="2"))
    eventually(lambda: scene.gate() == "open", "a new revision starts afresh", CHANGE_SECONDS)
    opened = time.monotonic()
    eventually(lambda: scene.traffic.since(opened), "the canary is asked again", CHANGE_SECONDS)
    proved("gateway: a new revision opens it")


def stays_shut(scene: Scene, what: str, plugin: Resource) -> None:
    """Applies it, and sees no request at the canary from then on."""
    before, version, vms = time.monotonic(), scene.policy_version(), scene.vms_created()
    scene.mesh.kube.apply(plugin)
    eventually(
        lambda: scene.policy_version() != version or scene.vms_created() > vms,
        f"{what} is in force",
        CHANGE_SECONDS,
    )
    time.sleep(2)
    assert not scene.traffic.since(before), f"the canary was asked after {what}"
    assert scene.gate() == "shut"
