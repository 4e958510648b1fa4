"""The shipped resources at a client's sidecar, and a decision that is carried over two hops."""

from __future__ import annotations

import pytest

from serinus_e2e import oracle
from serinus_e2e.client import Client
from serinus_e2e.envoy import eventually
from serinus_mesh.mesh import CHANGE_SECONDS, INSIDE, SERVICE, SHARE_PPM, Mesh


@pytest.mark.parametrize("host", [SERVICE, "shop.shop.svc", "shop.shop"])
def test_calls_within_the_mesh_are_drawn_by_their_key(mesh: Mesh, host: str, proved) -> None:
    for number in range(40):
        answer = mesh.from_application({"x-user-id": f"user-{number}"}, host)
        inside = oracle.slot("shop", f"user-{number}") < SHARE_PPM
        assert answer.version == ("v2" if inside else "v1")
    if host == SERVICE:
        proved("sidecar: 40 callers by their slots, to the subset of their version")


def test_what_a_hop_before_decided_is_honoured(mesh: Mesh) -> None:
    for variant, version in [("canary", "v2"), ("stable", "v1")]:
        answer = mesh.from_application({"x-user-id": "anna", "baggage": f"serinus=shop:{variant}"})
        assert answer.version == version


@pytest.mark.usefixtures("restored")
def test_the_variant_is_carried_over_two_hops(mesh: Mesh, gateway: Client, proved) -> None:
    """The gateway draws by a cookie that the sidecar never sees, and an application in between."""
    plugin = mesh.plugin()
    plugin["spec"]["pluginConfig"]["routes"][0]["match"]["hosts"].append("web.example.com")
    plugin["spec"]["pluginConfig"]["routes"][0]["key"] = [{"cookie": "session"}]
    mesh.kube.apply(plugin)
    eventually(
        lambda: gateway.ask(host="web.example.com").reason.get("reason") == "no-key",
        "the gateway's policy takes the front's host",
        CHANGE_SECONDS,
    )
    seen = set()
    for number in range(60):
        cookie = {"cookie": f"session=user-{number}"}
        answer = gateway.ask(host="web.example.com", headers=cookie)
        inside = oracle.slot("shop", f"user-{number}") < SHARE_PPM
        assert answer.version == ("v2" if inside else "v1")
        assert "cookie" not in answer.received_names
        seen.add(answer.version)
    assert seen == {"v1", "v2"}
    eventually(
        lambda: mesh.web.sum("serinus_decisions_total", route="shop", reason="carried") >= 60,
        "the sidecar counts carried decisions",
        30,
    )
    proved("two hops: the gateway's decision reaches the second service by baggage, 60 of 60")


@pytest.mark.usefixtures("restored")
def test_a_plugin_for_inbound_requests_chooses_nothing(mesh: Mesh, proved) -> None:
    """Behind the choice of the subset there is nothing left to choose."""
    plugin = mesh.plugin("web")
    plugin["spec"]["match"] = [{"mode": "SERVER"}]
    mesh.kube.apply(plugin)
    eventually(lambda: mesh.from_application(INSIDE).version == "v1", "it is out", CHANGE_SECONDS)
    proved("mode SERVER at a sidecar: calls go on, all stable")


def test_the_sidecar_tells_metrics_and_logs(mesh: Mesh, proved) -> None:
    mesh.from_application({"x-user-id": "anna"})
    eventually(
        lambda: mesh.web.sum("serinus_decisions_total", route="shop", reason="rest"),
        "the sidecar's decisions are counted",
        30,
    )
    assert "route=shop" in mesh.web.logged('"serinus":"route=shop')["serinus"]
    proved("sidecar: metrics with labels, access log with the filter's field")
