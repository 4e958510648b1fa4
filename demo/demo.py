"""Serinus at work: two versions of a shop behind a real Envoy, a share that is raised under load,
and a new version that breaks.

Run it by `make demo`. Every number that it prints was measured in that run; it ends with 1 if a
promise did not hold.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from typing import Any, NamedTuple

from scenario import Stage, console, play, print_log, table

from serinus_e2e.client import Answer, Client
from serinus_e2e.config import Upstreams
from serinus_e2e.envoy import EcdsEnvoy, eventually
from serinus_e2e.load import Load
from serinus_e2e.shop import Shop
from serinus_e2e.state import State, Variant

NAMES = "anna ben chen dora emil fatma goran hana igor jana kofi lena mira nils olga pavel".split()
USERS = [f"{NAMES[number % len(NAMES)]}-{number}" for number in range(1200)]
SHARE = 5  # what envoy-config/ecds-filter.yaml asks for
RAISED = 25
ROUNDS = 2
# So many that nobody asks twice while the gate makes up its mind.
CROWD = [f"{NAMES[number % len(NAMES)]}-{number}" for number in range(6000)]
WARMUP_SECONDS = 5
CONTROLLER_SECONDS = 60  # how often a controller outside the proxy looks, as a rule


class Visit(NamedTuple):
    """What one request came to."""

    version: str
    path: str
    route: str
    variant: str
    reason: str


def ask(client: Client, user: str) -> Answer:
    """Every user always sends the same request: some are employees, some have an old app."""
    number = int(user.rpartition("-")[2])
    headers = {"x-user-id": user}
    if number % 50 == 7:
        headers["x-employee"] = "true"
    if number % 30 == 11:
        headers["x-app-version"] = "1.9.3"
    return client.ask("/get_widgets?page=2" if number % 4 == 0 else "/cart", headers=headers)


def visit(answer: Answer) -> Visit:
    said = answer.reason
    reason = f"rule {said['rule']}" if said["reason"] == "rule" else said["reason"]
    return Visit(answer.version, answer.path, said["route"], said["variant"], reason)


def policy_at(envoy: EcdsEnvoy, share: int) -> Any:
    """The example's policy with this share on all its routes.

    Nothing is judged in a gate's first minute; nobody wants to wait for that here.
    """
    policy = envoy.policy_file.policy
    for route in policy["routes"]:
        route["variants"][0]["share"] = f"{share}%"
        route["gate"] = {"warmup": f"{WARMUP_SECONDS}s"}
    return policy


def print_visits(visits: dict[str, list[Visit]]) -> None:
    users: dict[Visit, set[str]] = defaultdict(set)
    requests: Counter[Visit] = Counter()
    for user, seen in visits.items():
        for one in seen:
            users[one].add(user)
            requests[one] += 1
    rows = table("route", "variant", "because", "users", "requests", "answered by", "as")
    for one in sorted(users, key=lambda one: (one.route, one.variant, one.reason)):
        counts = str(len(users[one])), str(requests[one])
        rows.add_row(one.route, one.variant, one.reason, *counts, f"shop {one.version}", one.path)
    console.print(rows)


def drawn(visits: dict[str, list[Visit]]) -> dict[str, str]:
    """The variant of every user for whom the share decided, by the last answer."""
    last = {user: seen[-1] for user, seen in visits.items()}
    return {user: one.variant for user, one in last.items() if one.reason in ("share", "rest")}


def moved(visits: dict[str, list[Visit]]) -> int:
    """Users who were answered by more than one version."""
    return sum(len({one.version for one in seen}) > 1 for seen in visits.values())


def print_shares(asked: int, variants: dict[str, str]) -> None:
    canaries = sum(variant == "canary" for variant in variants.values())
    sigma = 100 * math.sqrt(asked / 100 * (1 - asked / 100) / len(variants))
    console.print(
        f"share asked {asked:.2f} %, share seen {100 * canaries / len(variants):.2f} % "
        f"({canaries} of {len(variants)} users whom no rule decided; chance gives ±{sigma:.2f})"
    )


def drive(envoy: EcdsEnvoy) -> Load:
    """Every user asks, `ROUNDS` times."""
    with Load(envoy.port, False, USERS, ask, keep=visit) as load:
        eventually(lambda: load.rounds >= ROUNDS, "every user is answered", 120)
    return load


def raise_share(envoy: EcdsEnvoy) -> tuple[Load, int, float]:
    """Raises the share under load: by which request it was in force, and after how many ms."""
    with Load(envoy.port, False, USERS, ask, keep=visit) as load:
        eventually(lambda: load.requests >= len(USERS) // 2, "the users ask", 60)
        began = time.monotonic()
        envoy.apply(policy_at(envoy, RAISED))
        took = 1000 * (time.monotonic() - began)
        done = load.requests
        load.another_round()
    return load, done, took


def print_health(envoy: EcdsEnvoy, requests: int) -> bool:
    """What the filter saw of both versions; whether it counted every request once."""

    def sides() -> list[tuple[str, Variant]]:
        routes = State(envoy).document["routes"]
        found = [(route["route"], Variant(side)) for route in routes for side in route["variants"]]
        return [(route, side) for route, side in found if side.outcomes]

    def counted() -> int:
        return sum(sum(side.outcomes.values()) for _, side in sides())

    eventually(lambda: counted() >= requests, "all requests are counted", 10)
    console.print("\n[bold]What the filter saw of both versions[/bold] (/serinus/state.json)\n")
    rows = table(
        "route", "variant", "requests", "ok", "slow", "failed", "p50 ms", "p95 ms", "p99 ms"
    )
    for route, side in sides():
        outcomes = side.outcomes
        failed = sum(count for name, count in outcomes.items() if name.startswith("error_"))
        counts = [sum(outcomes.values()), outcomes.get("ok", 0), outcomes.get("slow", 0), failed]
        percentiles = [f"{side.percentiles[name]:.1f}" for name in ("p50", "p95", "p99")]
        rows.add_row(route, side.name, *map(str, counts), *percentiles)
    console.print(rows)
    return counted() == requests


def gates(envoy: EcdsEnvoy) -> set[str]:
    """The states of all gates."""
    routes = State(envoy).document["routes"]
    sides = [side for route in routes for side in route["variants"]]
    return {side["gate"]["state"] for side in sides if side["gate"]}


def break_canary(envoy: EcdsEnvoy, v2: Shop) -> bool:
    """The new version begins to fail wholly; whether the gates kept everybody from it."""
    console.print("\n[bold]The new version begins to fail, wholly[/bold]\n")
    with Load(envoy.port, False, CROWD, ask, keep=visit) as load:
        eventually(lambda: load.rounds >= 1, "every user is answered", 120)
        inside = sum(seen[-1].version == "v2" for seen in load.answers.values())
        v2.fail()
        began = time.monotonic()
        eventually(lambda: gates(envoy) == {"shut"}, "the gates are shut", 30)
        took = time.monotonic() - began
        # What was under way when the workers heard of it.
        time.sleep(1)
        failed = len(load.failures)
        time.sleep(3)
    print_log(envoy, "is shut")
    hurt = {failure.rpartition(": ")[0] for failure in load.failures}
    console.print(
        f"\nshut within {took:.1f} s: {failed} requests failed, "
        f"[bold]{len(hurt)} of {inside} canary users saw an error[/bold]; since then nobody did"
    )
    would = failed / took * CONTROLLER_SECONDS
    console.print(
        f"a controller that looks every {CONTROLLER_SECONDS} s would have let about {would:,.0f} "
        f"requests fail at this rate, to all {inside}"
    )
    return failed == len(load.failures)


def show(envoy: EcdsEnvoy, v2: Shop) -> bool:
    """The whole demo on a running Envoy; whether all promises held."""
    first = drive(envoy)
    console.print(f"\n[bold]{first.requests} requests of {len(USERS)} users[/bold]\n")
    print_visits(first.answers)
    before = drawn(first.answers)
    console.print()
    print_shares(SHARE, before)
    console.print(
        f"users who moved: {moved(first.answers) or 'none'}; failed requests: {len(first.failures)}"
    )

    console.print(f"\n[bold]The share is raised to {RAISED} % while all users keep asking[/bold]\n")
    second, at, took = raise_share(envoy)
    after = drawn(second.answers)
    inside = {user for user, variant in before.items() if variant == "canary"}
    left = {user for user in inside if any(one.variant != "canary" for one in second.answers[user])}
    joined = {user for user, variant in after.items() if variant == "canary"} - inside
    console.print(
        f"{second.requests} requests, the new policy in force on all workers within {took:.0f} ms "
        f"(by request {at}); failed requests: {len(second.failures)}"
    )
    print_shares(RAISED, after)
    console.print(
        f"canary before: {len(inside)} users; joined: {len(joined)}; "
        f"[bold]left the canary: {len(left) or 'nobody'}[/bold]"
    )
    counted = print_health(envoy, first.requests + second.requests)
    shut = break_canary(envoy, v2)
    return (
        counted and shut and not (left or moved(first.answers) or first.failures or second.failures)
    )


def main(stage: Stage) -> bool:
    v1, v2 = stage.shops()
    envoy = stage.envoy(Upstreams(v1.port, v2.port))
    stage.tell(envoy, f", envoy-config/ecds.yaml; shop v1 on {v1.port}, shop v2 on {v2.port}")
    return show(envoy, v2)


if __name__ == "__main__":
    play(main, "\nEnvoy and both shops are stopped.")
