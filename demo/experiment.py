"""An experiment at work: four versions of a form, what each converts, and what shuts one.

Run it by `make demo-experiment`. The policy is that of docs/recipes/experiment.md, without a
warm-up. Every number was measured in that run; it ends with 1 if a promise did not hold.
"""

from __future__ import annotations

import random
import time
from collections import Counter

from scenario import Stage, console, play, print_log, table

from serinus_e2e import oracle, recipes
from serinus_e2e.config import Upstreams
from serinus_e2e.envoy import EcdsEnvoy, eventually
from serinus_e2e.policies import Json, rule
from serinus_e2e.quick import QuickShop
from serinus_e2e.state import State
from serinus_e2e.traffic import Seen, Traffic

RATE, USERS, SECONDS = 400, 5_000, 15
GAUGE = 'serinus_sample_ratio_mismatch{route="checkout"}'


def policy(*rules: Json) -> Json:
    """The page's, with these rules, and judged from the first request on."""
    (given,) = recipes.policies("experiment")
    given["routes"][0]["gate"]["warmup"] = "0s"
    given["routes"][0]["rules"] = list(rules)
    return given


def variant(user: int) -> str:
    """What the user drew."""
    slot = oracle.slot("checkout-form-1", f"user-{user}")
    names = [(250_000, "one-page"), (500_000, "express"), (750_000, "stable")]
    return next((name for end, name in names if slot < end), "guest")


def buys(_: int) -> tuple[str, str]:
    """Every fifth request is a purchase, or tries to be."""
    return ("POST" if random.random() < 0.2 else "GET"), ""


def traffic(envoy: EcdsEnvoy, ask=buys) -> Traffic:
    return Traffic(envoy.port, "shop.example.com", RATE, USERS, path="/checkout", ask=ask)


def told(envoy: EcdsEnvoy) -> dict[str, Json]:
    """The variants of the state document."""
    return {one["variant"]: one for one in State(envoy).route("checkout")["variants"]}


def show(envoy: EcdsEnvoy, seen: list[Seen]) -> bool:
    """A row for each variant; whether it counted as the load did."""
    exposures = Counter(variant(one.user) for one in seen)
    bought = [one for one in seen if one.method == "POST" and one.status == 200]
    conversions = Counter(variant(one.user) for one in bought)

    def is_whole() -> bool:
        return sum(one["exposures"] for one in told(envoy).values()) == len(seen)

    eventually(is_whole, "everything is counted", 30)
    rows = table("variant", "exposures", "bought", "rate", "by the load's own count", "gate")
    same = True
    for name, one in told(envoy).items():
        count, met = one["exposures"], one["conversions"]["bought"]
        same &= (count, met) == (exposures[name], conversions[name])
        gate = one["gate"]["state"] if one["gate"] else ""
        own = f"{exposures[name]}, {conversions[name]}"
        rows.add_row(name, str(count), str(met), f"{100 * met / count:.1f} %", own, gate)
    console.print(rows)
    return same


def alike(envoy: EcdsEnvoy, seen: list[Seen]) -> bool:
    """All versions sell alike."""
    console.print(f"\n[bold]All sell alike[/bold]: {RATE} requests a second, a fifth purchases\n")
    with traffic(envoy) as load:
        time.sleep(SECONDS)
    seen += load.seen
    return show(envoy, seen) and all(
        one["gate"]["state"] == "open" for one in told(envoy).values() if one["gate"]
    )


def less(envoy: EcdsEnvoy, one_page: QuickShop, seen: list[Seen]) -> bool:
    """One of them sells less."""
    console.print("\n[bold]one-page declines half of the purchases[/bold], and answers all\n")
    one_page.behave(decline=0.5)
    with traffic(envoy) as load:
        began = time.monotonic()
        gate = 'serinus_gate_open{route="checkout",variant="one-page"}'
        eventually(lambda: envoy.metrics()[gate] == 0, "its gate shuts", 120)
        took = time.monotonic() - began
        reached = sum(one.version == "v2" for one in list(load.seen))
    one_page.behave()
    seen += load.seen
    print_log(envoy, "gate of")
    console.print(f"shut {took:.1f} s and {reached} of its requests after\n")
    gates = {name: one["gate"]["state"] for name, one in told(envoy).items() if one["gate"]}
    return gates == {"one-page": "shut", "guest": "open", "express": "open"}


def missing(envoy: EcdsEnvoy) -> bool:
    """A rule takes callers of one version out of the draw."""
    console.print(
        "[bold]Half of guest's callers keep a cookie by which a rule takes them[/bold], so that "
        "the draw misses them\n"
    )
    envoy.apply(policy(rule("back", {"cookie": "form", "exact": "guest"}, {"variant": "guest"})))

    def ask(user: int) -> tuple[str, str]:
        keeps = variant(user) == "guest" and user % 2
        return buys(user)[0], "cookie: form=guest" if keeps else ""

    before = envoy.metrics()[GAUGE]
    with traffic(envoy, ask) as load:
        began = time.monotonic()
        eventually(lambda: envoy.metrics()[GAUGE] == 1, "the mismatch is told", 120)
        took = time.monotonic() - began
    console.print(
        f"serinus_sample_ratio_mismatch was {before:.0f}, and 1 {took:.1f} s and "
        f"{len(load.seen)} requests after"
    )
    return before == 0


def logged(envoy: EcdsEnvoy, seen: list[Seen]) -> bool:
    """The lines of the log; whether the first part's are all there."""
    console.print("\n[bold]The log has a line for each exposure[/bold]\n")
    lines = print_log(envoy, "exposure {", 3)
    console.print(f"… {lines} in all")
    return lines >= len(seen)


def main(stage: Stage) -> bool:
    shop = stage.start(QuickShop("v1"))
    one_page = stage.start(QuickShop("v2"))

    def edit(config: Json) -> None:
        recipes.route_to(config, "one-page")

    upstreams = Upstreams(shop.port, one_page.port)
    envoy = stage.envoy(upstreams, policy(), edit)
    stage.tell(envoy, f"; one-page on {one_page.port}, the others on {shop.port}")
    seen: list[Seen] = []
    held = [alike(envoy, seen), less(envoy, one_page, seen)]
    held += [missing(envoy), logged(envoy, seen)]
    return all(held)


if __name__ == "__main__":
    play(main, "\nEnvoy and the shops are stopped.")
