"""The shipped resources at an ingress gateway: who gets which version, and what is told of it."""

from __future__ import annotations

import json
import secrets

import pytest

from serinus_e2e import oracle
from serinus_e2e.client import Client
from serinus_e2e.envoy import eventually
from serinus_mesh.mesh import HOST, INSIDE, OUTSIDE, SHARE_PPM, Mesh

STAFF = {"x-employee": "true"}


def test_callers_are_drawn_by_their_key(gateway: Client, proved) -> None:
    for number in range(100):
        slot = oracle.slot("shop", f"user-{number}")
        answer = gateway.ask(headers={"x-user-id": f"user-{number}"})
        assert answer.version == ("v2" if slot < SHARE_PPM else "v1")
        assert answer.reason["slot"] == str(slot)
    proved("gateway: 100 callers by their slots, to the subset of their version")


def test_a_rule_decides_before_the_share(gateway: Client, proved) -> None:
    answer = gateway.ask(headers={**OUTSIDE, **STAFF})
    assert (answer.version, answer.reason["rule"]) == ("v2", "employees")
    assert answer.received("x-serinus-variant") == ["canary"]
    assert answer.received("x-serinus-route") == ["shop"]
    proved("gateway: a rule sends an employee to the canary's subset")


@pytest.mark.parametrize("forged", ["canary", "CANARY", ""])
def test_nobody_names_a_variant(gateway: Client, forged: str) -> None:
    answer = gateway.ask(headers={**OUTSIDE, "x-serinus-variant": forged})
    assert (answer.version, answer.received("x-serinus-variant")) == ("v1", [])


def test_an_unknown_caller_gets_a_cookie(gateway: Client) -> None:
    (cookie,) = gateway.ask().set_cookies
    assert cookie.startswith("serinus=")
    value = cookie.partition(";")[0]
    first = gateway.ask(headers={"cookie": value})
    assert first.reason["key"] == "issueCookie:serinus"
    assert {gateway.ask(headers={"cookie": value}).version for _ in range(5)} == {first.version}


def test_the_decision_is_told_to_the_services_behind(gateway: Client) -> None:
    answer = gateway.ask(headers={**INSIDE, "baggage": "tenant=acme"})
    assert answer.received("baggage") == ["tenant=acme,serinus=shop:canary"]


def test_the_access_log_has_the_filters_field(mesh: Mesh, gateway: Client, proved) -> None:
    path = f"/{secrets.token_hex(8)}"
    gateway.ask(path, headers=INSIDE)
    line = mesh.gateway.logged(path)
    said = dict(pair.split("=", 1) for pair in line["serinus"].split())
    # One in some sixty is among the slowest, whatever the version does.
    assert said.pop("outcome") in ("ok", "slow")
    assert said == {
        "route": "shop",
        "variant": "canary",
        "reason": "share",
        "gate": "open",
    }
    assert line["upstream"].startswith("outbound|80|canary|shop.shop.svc.cluster.local")
    proved("gateway: the access log has route, variant, reason, gate and outcome")


def test_the_metrics_have_their_labels_at_the_proxys_prometheus_port(
    mesh: Mesh, gateway: Client, proved
) -> None:
    labels = {"route": "shop", "variant": "canary", "reason": "rule"}
    before = mesh.gateway.sum("serinus_decisions_total", **labels)
    gateway.ask(headers=STAFF)
    eventually(
        lambda: mesh.gateway.sum("serinus_decisions_total", **labels) > before,
        "the decision is counted",
        30,
    )
    assert mesh.gateway.sum("serinus_requests_total", route="shop", variant="canary", outcome="ok")
    assert mesh.gateway.sum("serinus_gate_state", route="shop", variant="canary", state="open") == 1
    assert mesh.gateway.sum("serinus_gate_evidence_percent", signal="errors") == 0
    raw = [line for line in mesh.gateway.scrape() if line.startswith("route")]
    assert not raw, f"names that are no labels: {raw[:3]}"
    proved("gateway: metrics with labels at port 15090, by extraStatTags")


def test_envoy_holds_little_of_a_shadows_answer(mesh: Mesh, proved) -> None:
    runtime = json.loads(mesh.gateway.admin("/runtime"))["entries"]
    assert runtime["http.async_response_buffer_limit"]["final_value"] == "1048576"
    proved("gateway: a shadow's answers are bounded, by runtimeValues")


def test_all_hosts_are_protected_and_only_the_routes_are_drawn(gateway: Client) -> None:
    answer = gateway.ask(host="other.example.com", headers={"x-serinus-variant": "canary", **STAFF})
    assert answer.status == 404
    assert gateway.ask(host=HOST, headers=STAFF).version == "v2"
