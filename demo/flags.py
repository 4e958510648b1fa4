"""Flags at work: who has what, off for everybody at once, and one that gives way under load.

Run it by `make demo-flags`. The policy is that of docs/recipes/flags.md, with shorter times for
what is shed. Every number was measured in that run; it ends with 1 if a promise did not hold.
"""

from __future__ import annotations

import time
from collections import Counter

from scenario import Stage, console, play, print_log, table

from serinus_e2e import recipes
from serinus_e2e.client import Answer, Client
from serinus_e2e.config import Upstreams
from serinus_e2e.envoy import EcdsEnvoy, eventually
from serinus_e2e.load import Load
from serinus_e2e.policies import Json
from serinus_e2e.quick import QuickShop
from serinus_e2e.shop import Shop
from serinus_e2e.traffic import Traffic

USERS = [f"user-{number}" for number in range(400)]
LIMIT = {"signal": "p99", "above": "150ms", "for": "3s", "minRequests": 100}
RATE = 200


def policy(share: str = "5%") -> Json:
    """The page's, with another share of its first flag and times that nobody has to wait for."""
    (given,) = recipes.policies("flags")
    rec = given["flags"][0]
    rec["values"][0]["share"] = share
    rec["shedWhen"] |= {"limits": [LIMIT], "restoreAfter": "5s"}
    return given


def told(answer: Answer) -> str:
    return ", ".join(answer.received("x-serinus-flags"))


def ask(client: Client, user: str) -> Answer:
    headers = {"x-user-id": user}
    if user.endswith("7"):
        headers["x-employee"] = "true"
    return client.ask("/cart", headers=headers, explain=False)


def who_has_what(envoy: EcdsEnvoy) -> bool:
    """All users ask several times; whether everybody was told the same each time."""
    with Load(envoy.port, False, USERS, ask, keep=told) as load:
        eventually(lambda: load.rounds >= 3, "every user is answered", 120)
    rows = table("told", "users")
    users = Counter(answers[-1] for answers in load.answers.values())
    for line, count in sorted(users.items(), key=lambda one: -one[1]):
        rows.add_row(line, str(count))
    console.print(f"\n[bold]{load.requests} requests of {len(USERS)} users[/bold]\n")
    console.print(rows)
    moved = sum(len(set(answers)) > 1 for answers in load.answers.values())
    console.print(f"users who were told different things: {moved or 'none'}")
    return not moved and not load.failures


def off_for_everybody(envoy: EcdsEnvoy) -> bool:
    """From on for all to off for all, under load."""
    seen: list[tuple[float, str]] = []

    def ask_and_note(client: Client, user: str) -> Answer:
        answer = client.ask("/cart", headers={"x-user-id": user}, explain=False)
        seen.append((time.monotonic(), told(answer)))
        return answer

    envoy.apply(policy("100%"))
    with Load(envoy.port, False, USERS, ask_and_note, keep=told) as load:
        time.sleep(2)
        began = time.monotonic()
        envoy.policy_file.write(policy("0%"))
        time.sleep(2)
    after = [one for one in seen if one[0] >= began]
    late = [at for at, line in after if 'rec_engine="on"' in line]
    took = 1000 * (max(late, default=began) - began)
    console.print("\n[bold]rec_engine goes from everybody to nobody[/bold]\n")
    console.print(
        f"the last request that had it on was answered {took:.0f} ms after the policy's file; "
        f"{len(after)} requests in the two seconds since, failed: {len(load.failures) or 'none'}"
    )
    return took < 1000 and not load.failures


def under_load(envoy: EcdsEnvoy, checkout: QuickShop) -> bool:
    """The checkout becomes slow, and well again."""

    def now() -> str:
        """The flag and why, once both workers say the same."""
        said = set()
        for _ in range(10):
            with Client(envoy.port, False) as client:
                answer = client.ask("/cart", headers={"x-user-id": "anna"})
                said.add(answer.reason["flags"].split(",")[0])
        return said.pop() if len(said) == 1 else ""

    console.print("\n[bold]The checkout becomes slow[/bold] (p99 above 150 ms for 3 s)\n")
    envoy.apply(policy("100%"))
    with Traffic(envoy.port, "checkout.example.com", RATE, path="/checkout"):
        time.sleep(4)
        for behaviour, wanted in [
            ({"after": 0.4}, "rec_engine:off:shed"),
            ({}, "rec_engine:on:share"),
        ]:
            before = now()
            checkout.behave(**behaviour)
            began = time.monotonic()
            eventually(lambda wanted=wanted: now() == wanted, "the flag changes", 60)
            took = time.monotonic() - began
            console.print(
                f"answers take {1000 * behaviour.get('after', 0):.0f} ms: {before} became "
                f"{wanted} on all workers after {took:.1f} s",
                emoji=False,
            )
    print_log(envoy, "flag rec_engine")
    return True


def main(stage: Stage) -> bool:
    shop = stage.start(Shop.start("v1"))
    checkout = stage.start(QuickShop("v2"))

    def edit(config: Json) -> None:
        recipes.path_to(config, "/checkout")

    upstreams = Upstreams(shop.port, checkout.port)
    envoy = stage.envoy(upstreams, policy(), edit)
    stage.tell(envoy, f"; the shop on {shop.port}, its checkout on {checkout.port}")
    held = [who_has_what(envoy), off_for_everybody(envoy), under_load(envoy, checkout)]
    return all(held)


if __name__ == "__main__":
    play(main, "\nEnvoy, the shop and its checkout are stopped.")
