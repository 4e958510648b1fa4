"""Experiments: exact counts, a drop that shuts, a sample ratio that is off, lines for analysis."""

from __future__ import annotations

import json
import random
import time
from collections import Counter

import pytest

from serinus_e2e import oracle, recipes
from serinus_e2e.client import Client
from serinus_e2e.config import Upstreams
from serinus_e2e.envoy import EcdsEnvoy, becomes, eventually
from serinus_e2e.policies import Json, policy, route, rule
from serinus_e2e.quick import QuickShop
from serinus_e2e.state import PAGE, State
from serinus_e2e.traffic import Seen, Traffic

(RECIPE,) = recipes.policies("experiment")
GOALS = [
    {"name": "bought", "when": [{"method": {}, "exact": "POST"}]},
    {"name": "refused", "when": [{"path": {}, "prefix": "/"}], "statuses": ["402"]},
]
EXPERIMENT: Json = {"goals": GOALS}
HALF = 500_000


def experiment(*others: Json, share: str = "50%", **settings: object) -> Json:
    """A route with an experiment, and whatever else."""
    shop = route("shop", share=share, experiment={**EXPERIMENT, **settings})
    for other in others:
        shop |= other
    return policy(shop, page=PAGE)


def buys(_: int) -> tuple[str, str]:
    """Every second request is a purchase."""
    return random.choice(["GET", "POST"]), ""


def counted(envoy: EcdsEnvoy, metric: str) -> dict[str, float]:
    """The series of a metric by its labels but the route."""
    found = {}
    for name, value in envoy.metrics().items():
        series, _, labels = name.partition("{")
        if series == metric:
            parts = [
                part for part in labels.rstrip("}").split(",") if not part.startswith("route=")
            ]
            found[",".join(part.split('"')[1] for part in sorted(parts)[::-1])] = value
    return found


def side(user: int) -> str:
    return "canary" if oracle.slot("shop", f"user-{user}") < HALF else "stable"


def expected(seen: list[Seen]) -> tuple[Counter[str], Counter[str]]:
    """Exposures by variant, and conversions by variant and goal, by the load's own counts."""
    exposures, conversions = Counter(), Counter()
    for one in seen:
        variant = side(one.user)
        exposures[variant] += 1
        if one.method == "POST" and one.status == 200:
            conversions[f"{variant},bought"] += 1
        if one.status == 402:
            conversions[f"{variant},refused"] += 1
    return exposures, conversions


def test_the_pages_policy_is_in_force_with_all_its_variants(start, upstreams: Upstreams) -> None:
    envoy = start(RECIPE, upstreams)
    assert counted(envoy, "serinus_sample_ratio_mismatch") == {"": 0}
    names = {"stable", *(variant["name"] for variant in RECIPE["routes"][0]["variants"])}
    assert len(names) == 4
    assert counted(envoy, "serinus_exposures_total").keys() == names
    goals = [goal["name"] for goal in RECIPE["routes"][0]["experiment"]["goals"]]
    wanted = {f"{name},{goal}" for name in names for goal in goals}
    assert counted(envoy, "serinus_conversions_total").keys() == wanted


@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_counts_are_those_of_the_load_over_both_workers(start, mode: str) -> None:
    with QuickShop("v1") as v1, QuickShop("v2") as v2:
        v1.behave(decline=0.3)
        v2.behave(decline=0.3)
        envoy = start({**experiment(), "mode": mode}, Upstreams(v1.port, v2.port))
        with Traffic(envoy.port, "shop.test", 300, users=500, ask=buys) as traffic:
            time.sleep(4)
        assert {one.status for one in traffic.seen} == {200, 402}
        exposures, conversions = expected(traffic.seen)
        assert len(exposures) == 2
        assert len(conversions) == 4
        print(f"{mode}: {dict(exposures)}, {dict(conversions)}")
        becomes(lambda: counted(envoy, "serinus_exposures_total"), exposures, "all are told")
        becomes(lambda: counted(envoy, "serinus_conversions_total"), conversions, "goals are told")
        document = State(envoy).route("shop")
        assert document["sample_ratio_mismatch"] is False
        for variant in document["variants"]:
            name = variant["variant"]
            assert variant["exposures"] == exposures[name]
            bought, refused = (conversions[f"{name},{goal}"] for goal in ["bought", "refused"])
            assert variant["conversions"] == {"bought": bought, "refused": refused}


def test_only_who_drew_a_variant_is_exposed(start, upstreams: Upstreams) -> None:
    staff = rule("staff", {"header": "x-employee", "exact": "true"})
    envoy = start(experiment({"rules": [staff]}), upstreams)
    with Client(envoy.port, False) as client:
        for headers in [{}, {"x-employee": "true", "x-user-id": "user-1"}]:
            assert client.ask(host="shop.test", method="POST", headers=headers).status == 200
        client.ask(host="shop.test", headers={"x-user-id": "user-1"})
    one = Counter({side(1): 1})

    def exposures() -> dict[str, float]:
        found = counted(envoy, "serinus_exposures_total").items()
        return {name: count for name, count in found if count}

    becomes(exposures, dict(one), "one is exposed")
    assert set(counted(envoy, "serinus_conversions_total").values()) == {0}


def test_a_drop_of_conversions_shuts_the_gate(start) -> None:
    """How long it took is printed."""
    with QuickShop("v1") as v1, QuickShop("v2") as v2:
        gate = {"gate": {"warmup": "0s"}}
        envoy = start(experiment(gate), Upstreams(v1.port, v2.port))
        with Traffic(envoy.port, "shop.test", 300, ask=buys) as traffic:
            time.sleep(8)
            assert State(envoy).variant("shop", "canary").gate["state"] == "open"
            v2.behave(decline=0.7)
            began = time.monotonic()
            gauge = 'serinus_gate_open{route="shop",variant="canary"}'
            eventually(lambda: envoy.metrics()[gauge] == 0, "the gate shuts", 90)
            took = time.monotonic() - began
            reached = len(traffic.since(began))
            print(f"70 % declined: shut after {took:.1f} s and {reached} requests of the canary")
        history = State(envoy).variant("shop", "canary").gate["history"]
        assert [(past["reason"], past["signal"]) for past in history] == [("worse", "conversions")]
        evidence = history[0]["evidence"]
        rates = [evidence[of]["k"] / evidence[of]["n"] for of in ["stable", "canary"]]
        assert rates[1] < 0.7 * rates[0]
    assert "serinus: gate of shop/canary is shut: worse, conversions" in envoy.log


def test_a_limit_on_conversions_shuts_the_gate(start) -> None:
    limit = {"signal": "conversionRate", "belowStableBy": "5%", "for": "5s"}
    gate = {"gate": {"warmup": "0s", "signals": ["errors"], "limits": [limit]}}
    with QuickShop("v1") as v1, QuickShop("v2") as v2:
        envoy = start(experiment(gate), Upstreams(v1.port, v2.port))
        with Traffic(envoy.port, "shop.test", 300, ask=buys):
            time.sleep(8)
            assert State(envoy).variant("shop", "canary").gate["history"] == []
            v2.behave(decline=0.7)
            gauge = 'serinus_gate_open{route="shop",variant="canary"}'
            eventually(lambda: envoy.metrics()[gauge] == 0, "the gate shuts", 60)
    assert "serinus: gate of shop/canary is shut: limit-conversionRate, conversions" in envoy.log


def test_exposures_that_go_missing_are_a_sample_ratio_mismatch(start) -> None:
    """A rule takes callers of the canary by what they keep: the draw sees fewer of them."""
    back = rule("back", {"header": "x-seen", "exact": "canary"})
    gauge = "serinus_sample_ratio_mismatch"
    with QuickShop("v1") as v1, QuickShop("v2") as v2:
        envoy = start(experiment({"rules": [back]}), Upstreams(v1.port, v2.port))

        def honest(user: int) -> tuple[str, str]:
            return "GET", "x-seen: canary" if user % 4 == 0 else ""

        def biased(user: int) -> tuple[str, str]:
            return "GET", "x-seen: canary" if user % 4 == 0 and side(user) == "canary" else ""

        with Traffic(envoy.port, "shop.test", 300, users=2_000, ask=honest):
            time.sleep(8)
        assert counted(envoy, gauge) == {"": 0}
        with Traffic(envoy.port, "shop.test", 300, users=2_000, ask=biased):
            eventually(lambda: counted(envoy, gauge) == {"": 1}, "the mismatch is told", 120)
        assert State(envoy).route("shop")["sample_ratio_mismatch"] is True
        # A policy without the experiment takes its gauge back.
        envoy.apply(policy(route("shop", share="50%"), page=PAGE))
        becomes(lambda: counted(envoy, gauge), {"": 0}, "the gauge goes to 0")


def test_each_exposure_has_a_line_for_who_analyses_elsewhere(start, upstreams: Upstreams) -> None:
    envoy = start(experiment(exposureLog=True), upstreams)
    users = [f"user-{number}" for number in range(40)]
    with Client(envoy.port, True) as client:
        for user in users:
            client.ask(host="shop.test", headers={"x-user-id": user})
        client.ask(host="shop.test")

    def lines() -> list[Json]:
        found = [
            line.split("exposure ", 1)[1] for line in envoy.log.splitlines() if "exposure {" in line
        ]
        return [json.loads(line) for line in found]

    def line(user: str) -> Json:
        slot = oracle.slot("shop", user)
        variant = "canary" if slot < HALF else "stable"
        return {"route": "shop", "variant": variant, "slot": slot}

    becomes(lines, [line(user) for user in users], "every exposure has its line")
    assert counted(envoy, "serinus_exposures_unlogged_total") == {"": 0}
    assert not any(
        user in line for line in envoy.log.splitlines() for user in users if "exposure" in line
    )
