"""The shipped resources at a client's sidecar, and a decision that is carried over two hops."""

from __future__ import annotations

import httpx
import pytest

from serinus_e2e import oracle
from serinus_e2e.client import Answer, Client
from serinus_e2e.envoy import eventually
from serinus_mesh import cluster
from serinus_mesh.mesh import CHANGE_SECONDS, SHARE_PPM, Mesh

SERVICE = "shop.shop.svc.cluster.local"


def from_application(headers: dict[str, str], host: str = SERVICE) -> Answer:
    """A call of the service that the pod's application makes by way of its sidecar."""
    url = f"http://{cluster.EGRESS[0]}:{cluster.EGRESS[1]}/"
    return Answer(httpx.get(url, headers={"host": host, **headers}, timeout=20))


@pytest.mark.parametrize("host", [SERVICE, "shop.shop.svc", "shop.shop"])
def test_calls_within_the_mesh_are_drawn_by_their_key(mesh: Mesh, host: str, proved) -> None:
    for number in range(40):
        answer = from_application({"x-user-id": f"user-{number}"}, host)
        inside = oracle.slot("shop", f"user-{number}") < SHARE_PPM
        assert answer.version == ("v2" if inside else "v1")
    if host == SERVICE:
        proved("sidecar: 40 callers by their slots, to the subset of their version")


def test_what_a_hop_before_decided_is_honoured(mesh: Mesh) -> None:
    for variant, version in [("canary", "v2"), ("stable", "v1")]:
        answer = from_application({"x-user-id": "anna", "baggage": f"serinus=shop:{variant}"})
        assert answer.version == version


def test_the_variant_is_carried_over_two_hops(mesh: Mesh, gateway: Client, proved) -> None:
    """The gateway draws by a cookie that the sidecar never sees, and an application in between."""
    plugin = mesh.plugin()
    plugin["spec"]["pluginConfig"]["routes"][0]["match"]["hosts"].append("web.example.com")
    plugin["spec"]["pluginConfig"]["routes"][0]["key"] = [{"cookie": "session"}]
    mesh.kube.apply(plugin)
    try:
        eventually(
            lambda: gateway.ask(host="web.example.com").reason.get("reason") == "no-key",
            "the gateway's policy takes the front's host",
            CHANGE_SECONDS,
        )
        seen = set()
        for number in range(60):
            answer = gateway.ask(
                host="web.example.com", headers={"cookie": f"session=user-{number}"}
            )
            inside = oracle.slot("shop", f"user-{number}") < SHARE_PPM
            assert answer.version == ("v2" if inside else "v1")
            assert "cookie" not in answer.received_names
            seen.add(answer.version)
        assert seen == {"v1", "v2"}
        carried = mesh.web.sum("serinus_decisions_total", route="shop", reason="carried")
        eventually(
            lambda: mesh.web.sum("serinus_decisions_total", route="shop", reason="carried") >= 60,
            f"the sidecar counts carried decisions (was {carried})",
            30,
        )
    finally:
        mesh.restore()
    proved("two hops: the gateway's decision reaches the second service by baggage, 60 of 60")


def test_a_plugin_for_inbound_requests_chooses_nothing(mesh: Mesh, proved) -> None:
    """Behind the choice of the subset there is nothing left to choose."""
    inside = {"x-user-id": oracle.keys_in("shop", 0, SHARE_PPM, 1)[0]}
    plugin = mesh.plugin("web")
    plugin["spec"]["match"] = [{"mode": "SERVER"}]
    mesh.kube.apply(plugin)
    try:
        eventually(lambda: from_application(inside).version == "v1", "it is out", CHANGE_SECONDS)
    finally:
        mesh.restore()
    eventually(lambda: from_application(inside).version == "v2", "it is back", CHANGE_SECONDS)
    proved("mode SERVER at a sidecar: calls go on, all stable")


def test_the_sidecar_tells_metrics_and_logs(mesh: Mesh, proved) -> None:
    from_application({"x-user-id": "anna"})
    eventually(
        lambda: mesh.web.sum("serinus_decisions_total", route="shop", reason="rest"),
        "the sidecar's decisions are counted",
        30,
    )
    assert "route=shop" in mesh.web.logged('"serinus":"route=shop')["serinus"]
    proved("sidecar: metrics with labels, access log with the filter's field")
