"""Rescue at work: a canary that breaks, and what its callers see of it with a rescue and without.

Run it by `make demo-rescue`. The policy is that of docs/recipes/rescue.md, with a shorter warm-up,
and a gate that is held open while callers are counted; Envoy's own time-out is two seconds. Every
number was measured in that run; it ends with 1 if a caller saw a failure that stable could have
answered.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from scenario import Stage, console, play, print_log, table

from serinus_e2e import recipes
from serinus_e2e.client import Client
from serinus_e2e.config import Config, Upstreams, connection_manager
from serinus_e2e.envoy import EcdsEnvoy, eventually
from serinus_e2e.policies import Json
from serinus_e2e.shop import Shop
from serinus_e2e.traffic import Seen, Traffic
from serinus_e2e.twin import Twin

HOST = "shop.example.com"
RATE = 200
SECONDS = 3.0
# What the canary does, and how the twin of the tests is told.
BROKEN: dict[str, dict[str, Any]] = {
    "answers 503": {"worse": "status"},
    "breaks the connection": {"how": "reset-before"},
    "does not answer": {"how": "hang"},
}


def policy(rescued: bool, held: str | None) -> Json:
    """The page's: with its rescue or without, and held open or left to the gate."""
    (given,) = recipes.policies("rescue")
    (shop,) = given["routes"]
    shop["gate"] = {"held": held} if held else {"warmup": "1s"}
    if not rescued:
        del shop["rescue"]
    return given


def share_of(number: int, all_of: int) -> str:
    return f"{number} ({100 * number / max(all_of, 1):.1f} %)"


def statuses_of(seen: list[Seen]) -> str:
    """How many of the callers saw which status."""
    statuses = Counter(one.status for one in seen)
    return ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))


def count_failures(envoy: EcdsEnvoy, canary: Twin) -> bool:
    """Each way to break, with a rescue and without; whether it kept all failures from callers."""
    rows = table("the canary", "rescue", "requests", "callers saw", "failed")
    held = True
    for what, how in BROKEN.items():
        for rescued in [False, True]:
            canary.behave(HOST, **how)
            envoy.apply(policy(rescued, "open"))
            with Traffic(envoy.port, HOST, RATE) as traffic:
                time.sleep(SECONDS)
            canary.behave(HOST)
            failed = sum(one.status >= 500 for one in traffic.seen)
            held &= not rescued or not failed
            rows.add_row(
                what,
                "yes" if rescued else "no",
                str(len(traffic.seen)),
                statuses_of(traffic.seen),
                share_of(failed, len(traffic.seen)),
            )
    console.print(f"\n[bold]A quarter of all callers get a canary that breaks[/bold], {RATE}/s\n")
    console.print(rows)
    return held


def let_the_gate_judge(envoy: EcdsEnvoy, canary: Twin) -> bool:
    """The same with a gate that may shut; whether it did, and nobody saw why."""
    console.print("\n[bold]The gate may shut now[/bold]\n")
    envoy.apply(policy(True, None))
    with Traffic(envoy.port, HOST, RATE) as traffic:
        time.sleep(SECONDS)
        canary.behave(HOST, worse="status")
        began = time.monotonic()

        def is_shut() -> bool:
            states = envoy.counts("serinus_gate_state", "state", route="shop", variant="canary")
            return states == {"shut": 1}

        eventually(is_shut, "the gate shuts", 60)
        took = time.monotonic() - began
        time.sleep(1)
    failed = [one for one in traffic.seen if one.status >= 500]
    print_log(envoy, "gate of shop/canary is shut")
    console.print(
        f"shut {took:.1f} s after the canary broke; {len(traffic.seen)} requests meanwhile, "
        f"failures that callers saw: {len(failed) or 'none'}"
    )
    counted = envoy.counts("serinus_rescues_total", "outcome", route="shop")
    told = ", ".join(f"{int(count)} {word}" for word, count in sorted(counted.items()))
    console.print(f"serinus_rescues_total in all: {told}")
    return not failed


def show_one(envoy: EcdsEnvoy, canary: Twin) -> None:
    """What one caller sees, and what the access log says."""
    canary.behave(HOST, worse="status")
    envoy.apply(policy(True, "open"))
    with Client(envoy.port, False) as client:
        headers = {"x-employee": "true", "x-serinus-explain": "1"}
        answer = client.ask("/cart", headers=headers, explain=False)
    console.print("\n[bold]One request of an employee's[/bold]\n")
    console.print(f"{answer.status}, answered by shop {answer.version}", highlight=False)
    reason = answer.response.headers["x-serinus-reason"]
    console.print(f"x-serinus-reason: {reason}", markup=False, emoji=False)
    line = envoy.logged("rescue=")
    console.print(f"access log: {line[line.index('serinus=') :]}", markup=False, emoji=False)
    canary.behave(HOST)


def main(stage: Stage) -> bool:
    stable = stage.start(Shop.start("v1"))
    canary = stage.start(Twin())
    upstreams = Upstreams(stable.port, canary.port)

    def edit(config: Config) -> None:
        for host in connection_manager(config)["route_config"]["virtual_hosts"]:
            for one in host["routes"]:
                one["route"]["timeout"] = "2s"

    began = policy(False, "open")
    envoy = stage.envoy(upstreams, began, edit)
    stage.tell(
        envoy, f"; shop v1, which is stable, on {stable.port}, and the canary on {canary.port}"
    )
    show_one(envoy, canary)
    held = [count_failures(envoy, canary), let_the_gate_judge(envoy, canary)]
    return all(held)


if __name__ == "__main__":
    play(main, "\nEnvoy, the shop and its canary are stopped.")
