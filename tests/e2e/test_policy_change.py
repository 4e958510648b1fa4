"""A policy changes while requests run; a bad one changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from serinus_e2e import oracle
from serinus_e2e.client import Answer, Client
from serinus_e2e.config import Config, Upstreams, connection_manager, policy_value, render
from serinus_e2e.envoy import Envoy, eventually
from serinus_e2e.load import Load
from serinus_e2e.policies import policy, route, rule


def at(share: str) -> dict:
    staff = rule("staff", {"header": "x-employee", "exact": "true"})
    return policy(route("shop", share=share, rules=[staff]))


BAD = policy(
    route("shop", share="60%", variant={"from": "40%", "shares": "1%"}),
    route("shop", share="1.23456%"),
    mode="enforced",
)
BAD_PLACES = [
    "routes[0].variants[0].shares",
    "routes[1].variants[0].share",
    "routes[1].name",
    "mode",
]
STAFF = {"x-employee": "true"}


def rejected(envoy: Envoy) -> float:
    return envoy.metrics().get("serinus_policy_rejected{}", -1)


def ask_as_staff(envoy: Envoy, http2: bool) -> Answer:
    with Client(envoy.port, http2) as client:
        return client.ask(host="shop.test", headers=STAFF)


def test_the_last_good_policy_serves_while_a_newer_one_is_bad(
    start, upstreams: Upstreams, http2: bool
) -> None:
    envoy = start(at("10%"), upstreams)
    for bad in [BAD, "{", "", "\xff"]:
        envoy.apply(bad)
        for _ in range(4):
            assert ask_as_staff(envoy, http2).version == "v2", bad
        eventually(lambda: rejected(envoy) == 1, "serinus_policy_rejected is 1")
    for place in BAD_PLACES:
        assert place in envoy.log
    envoy.apply(at("20%"))
    assert ask_as_staff(envoy, http2).version == "v2"
    eventually(lambda: rejected(envoy) == 0, "serinus_policy_rejected is 0")


@pytest.mark.parametrize("bad", [BAD, "{", ""], ids=["problems", "no JSON", "empty"])
def test_with_a_bad_policy_from_the_start_everybody_is_stable(
    start, upstreams: Upstreams, http2: bool, bad: object
) -> None:
    envoy = start(bad, upstreams)
    for _ in range(4):
        answer = ask_as_staff(envoy, http2)
        assert (answer.status, answer.version) == (200, "v1")
    assert rejected(envoy) == 1
    envoy.apply(at("10%"))
    assert ask_as_staff(envoy, http2).version == "v2"
    eventually(lambda: rejected(envoy) == 0, "serinus_policy_rejected is 0")


def gauges(envoy: Envoy, route: str, variant: str = "canary") -> dict[str, float]:
    """What stands in the gauges of a gate, and the share that is asked, where it is not 0."""
    names = ["serinus_gate_open", "serinus_gate_state", "serinus_gate_verdict"]
    labels = {"route": route, "variant": variant}
    found = {name: sum(envoy.counts(name, "route", **labels).values()) for name in names}
    asked = envoy.counts("serinus_share_asked_ppm", "route", **labels)
    return {name: value for name, value in found.items() if value} | asked


def test_the_gauges_of_what_a_policy_has_no_more_go_to_0(start, upstreams: Upstreams) -> None:
    """Envoy can't take a series back, and a gate that is not there must not be told as open."""
    second = {"name": "second", "share": "20%"}
    shop = route("shop", share="10%")
    both = {**shop, "variants": [*shop["variants"], second]}
    envoy = start(policy(both, route("old", share="10%")), upstreams)
    told = {"serinus_gate_open", "serinus_gate_state", "serinus_gate_verdict"}
    gates = [("shop", "canary"), ("shop", "second"), ("old", "canary")]
    eventually(lambda: all(told < gauges(envoy, *gate).keys() for gate in gates), "all are told")
    envoy.apply(policy(shop))
    eventually(lambda: gauges(envoy, "old") == {}, "nothing is told of the route that is gone")
    eventually(lambda: gauges(envoy, "shop", "second") == {}, "nor of the variant that is gone")
    assert told < gauges(envoy, "shop").keys()


UNSUPPORTED = {"gate.advance": {"gate": {"advance": "onPass"}}}


def test_parts_that_do_not_act_yet_are_refused(start, upstreams: Upstreams) -> None:
    envoy = start(at("10%"), upstreams)
    cases = {
        f"routes[0].{name}": policy(route("shop", **part)) for name, part in UNSUPPORTED.items()
    }
    cases["fleet"] = policy(route("shop"), fleet={"cluster": "p", "authority": "p.example"})
    for place, unsupported in cases.items():
        before = len(envoy.log)
        envoy.apply(unsupported)
        said = [line for line in envoy.log[before:].splitlines() if place in line]
        assert any("not supported yet" in line for line in said), (place, said)
        assert ask_as_staff(envoy, False).version == "v2", place


def test_a_policy_as_a_struct_is_refused_with_a_helpful_sentence(
    envoy_version: str, tmp_path: Path, upstreams: Upstreams
) -> None:
    def as_struct(config: Config) -> None:
        value = policy_value(connection_manager(config)["http_filters"][0]["typed_config"])
        value["@type"] = "type.googleapis.com/google.protobuf.Struct"
        value["value"] = at("100%")

    config = render("header-routes.yaml", tmp_path, upstreams, as_struct)
    with Envoy(envoy_version, tmp_path, config) as envoy:
        assert ask_as_staff(envoy, False).version == "v1"
        assert "StringValue" in envoy.log
        envoy.check_unhurt()


def test_a_filter_without_configuration_leaves_everybody_stable(
    envoy_version: str, tmp_path: Path, upstreams: Upstreams
) -> None:
    def without(config: Config) -> None:
        wasm = connection_manager(config)["http_filters"][0]["typed_config"]["config"]
        del wasm["configuration"]

    config = render("header-routes.yaml", tmp_path, upstreams, without)
    with Envoy(envoy_version, tmp_path, config) as envoy:
        assert ask_as_staff(envoy, False).version == "v1"
        envoy.check_unhurt()


def ask_as(client: Client, user: str) -> Answer:
    return client.ask(host="shop.test", headers={"x-user-id": user}, explain=False)


def test_changes_under_load_lose_no_request_and_move_nobody_back(
    start, upstreams: Upstreams, http2: bool
) -> None:
    """Raised shares only bring users in and lowered ones only take users out, one way each."""
    envoy = start(at("0%"), upstreams)
    users = [f"user-{number}" for number in range(80)]
    for shares in [["5%", "20%", "50%", "100%"], ["50%", "10%", "0%"]]:
        with Load(envoy.port, http2, users, ask_as) as load:
            for share in shares:
                envoy.apply(at(share))
                load.another_round()
        assert load.failures == []
        rising = shares[-1] == "100%"
        for user, versions in load.answers.items():
            assert versions == sorted(versions, reverse=not rising), (user, versions)
        last = {versions[-1] for versions in load.answers.values()}
        assert last == ({"v2"} if rising else {"v1"})


SHARES = {"1%": 10_000, "12.5%": 125_000, "33.3333%": 333_333, "100%": 1_000_000}


def test_the_users_at_each_share_are_those_of_the_slots(
    start, upstreams: Upstreams, http2: bool
) -> None:
    users = [f"user-{number}" for number in range(200)]
    envoy = start(at("0%"), upstreams)
    with Client(envoy.port, http2) as client:
        for share, slots in SHARES.items():
            envoy.apply(at(share))
            seen = {user for user in users if ask_as(client, user).version == "v2"}
            assert seen == {user for user in users if oracle.slot("shop", user) < slots}


def test_a_bad_policy_under_load_loses_no_request(start, upstreams: Upstreams, http2: bool) -> None:
    envoy = start(at("100%"), upstreams)
    users = [f"user-{number}" for number in range(20)]
    with Load(envoy.port, http2, users, ask_as) as load:
        for text in ["{", BAD, at("100%"), ""]:
            envoy.apply(text)
            load.another_round()
    assert load.failures == []
    assert {version for versions in load.answers.values() for version in versions} == {"v2"}
