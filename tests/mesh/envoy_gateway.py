"""The shipped resources with the real Envoy Gateway; `make test-envoy-gateway`, outside of CI."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import yaml

from serinus_e2e import oracle
from serinus_e2e.client import Client
from serinus_e2e.envoy import eventually
from serinus_e2e.shop import Shop
from serinus_mesh import places, registry
from serinus_mesh.envoy_gateway import PORT, EnvoyGateway
from serinus_mesh.kube import Resource
from serinus_mesh.mesh import CHANGE_SECONDS, took

SHARE_PPM = 200_000
INSIDE = {"x-user-id": oracle.keys_in("shop", 0, SHARE_PPM, 1)[0]}
OUTSIDE = {"x-user-id": oracle.keys_in("shop", SHARE_PPM, oracle.SLOTS, 1)[0]}


@dataclass
class Scene:
    gateway: EnvoyGateway
    client: Client
    shipped: list[Resource]

    def changed(self, share: str = "20%", **image: object) -> list[Resource]:
        resources = copy.deepcopy(self.shipped)
        wasm = policy_resource(resources)["spec"]["wasm"][0]
        wasm["config"]["routes"][0]["variants"][0]["share"] = share
        wasm["code"]["image"].update(image)
        return resources

    def version(self, caller: dict[str, str]) -> str:
        return self.client.ask(headers=caller).version


def policy_resource(resources: list[Resource]) -> Resource:
    return next(it for it in resources if it["kind"] == "EnvoyExtensionPolicy")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, proved) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("envoy-gateway")
    with (
        Shop("v1") as stable,
        Shop("v2") as canary,
        registry.registry(folder / "registry"),
    ):
        registry.build(folder / "image")
        image = registry.push(folder / "image", "serinus/serinus:1")
        text = (places.ISTIO / "envoy-gateway/serinus.yaml").read_text()
        shipped = list(yaml.safe_load_all(text))
        for resource in shipped:
            if resource["kind"] == "Backend":
                shop = canary if "canary" in resource["metadata"]["name"] else stable
                address = {"address": "127.0.0.1", "port": shop.port}
                resource["spec"]["endpoints"] = [{"ip": address}]
        wasm = policy_resource(shipped)["spec"]["wasm"][0]
        wasm["code"]["image"]["url"] = image
        wasm["config"]["routes"][0]["variants"][0]["share"] = "20%"
        with EnvoyGateway(folder / "run", shipped) as gateway, Client(PORT, False) as client:
            proved("start: Envoy Gateway with its Envoy", gateway.program.ready_after)
            scene = Scene(gateway, client, shipped)
            eventually(lambda: scene.version(INSIDE) == "v2", "the filter is in", CHANGE_SECONDS)
            yield scene


def test_callers_are_drawn_by_their_key(scene: Scene, proved) -> None:
    for number in range(100):
        inside = oracle.slot("shop", f"user-{number}") < SHARE_PPM
        assert scene.version({"x-user-id": f"user-{number}"}) == ("v2" if inside else "v1")
    assert scene.version({**OUTSIDE, "x-employee": "true"}) == "v2"
    assert scene.version({**OUTSIDE, "x-serinus-variant": "canary"}) == "v1"
    proved("100 callers by their slots; a rule; nobody names a variant")


def test_a_new_share_is_in_force_soon(scene: Scene, proved) -> None:
    seconds = took(
        lambda: scene.gateway.serve(scene.changed("100%")),
        lambda: scene.version(OUTSIDE) == "v2",
        "the new share",
    )
    proved("policy change", seconds)
    scene.gateway.serve(scene.changed())
    eventually(lambda: scene.version(OUTSIDE) == "v1", "the old share", CHANGE_SECONDS)


def test_a_bad_policy_leaves_the_last_good_one(scene: Scene, proved) -> None:
    scene.gateway.serve(scene.changed("250%"))
    eventually(
        lambda: "policy refused" in scene.gateway.program.log, "the filter says so", CHANGE_SECONDS
    )
    assert (scene.version(INSIDE), scene.version(OUTSIDE)) == ("v2", "v1")
    scene.gateway.serve(scene.changed())
    proved("bad policy while running: the last good one serves, and the log says so")


def test_a_missing_image_passes_all_as_stable(scene: Scene, proved) -> None:
    scene.gateway.serve(scene.changed(url=f"{registry.HOST}/serinus/none:1"))
    eventually(lambda: scene.version(INSIDE) == "v1", "the filter is out", CHANGE_SECONDS)
    scene.gateway.serve(scene.changed())
    eventually(lambda: scene.version(INSIDE) == "v2", "the filter is back", CHANGE_SECONDS)
    proved("image missing (failOpen): 200, all stable; mended without a restart")
