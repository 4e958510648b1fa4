"""Maintenance at work: writes wait, reads go to a replica, on and off under load.

Run it by `make demo-maintenance`. The policy is that of docs/recipes/maintenance.md. Every number
was measured in that run; it ends with 1 if a request was lost or answered wrongly.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import NamedTuple

from scenario import Stage, console, play, table

from serinus_e2e import recipes
from serinus_e2e.client import Answer, Client
from serinus_e2e.config import Upstreams
from serinus_e2e.envoy import EcdsEnvoy
from serinus_e2e.load import Load
from serinus_e2e.policies import Json

USERS = [str(number) for number in range(60)]
SECONDS = 2.0
STAFF = {"x-employee": "true"}
# What everybody asks: who, method, path, headers.
ASKED: list[tuple[str, str, str, dict[str, str]]] = [
    ("a customer who buys", "POST", "/cart", {}),
    ("a customer who looks around", "GET", "/cart", {}),
    ("an employee who writes", "POST", "/cart", STAFF),
    ("a health check", "GET", "/healthz", {}),
]
BEFORE = ["v1", "v1", "v1", "v1"]
MEANWHILE = ["503", "v2", "v1", "v1"]


class Seen(NamedTuple):
    """An answer: when, to whom, and the version or else the status."""

    at: float
    who: int
    answer: str


def policy(enabled: bool) -> Json:
    (given,) = recipes.policies("maintenance")
    given["routes"][0]["maintenance"]["enabled"] = enabled
    return given


def show(envoy: EcdsEnvoy) -> bool:
    """Switches it on and off twice; whether nobody was lost or answered wrongly."""
    seen: list[Seen] = []

    def ask(client: Client, user: str) -> Answer:
        who = int(user) % len(ASKED)
        _, method, path, headers = ASKED[who]
        answer = client.ask(path, method=method, headers=headers, explain=False)
        version = answer.response.headers.get("x-shop-version", str(answer.status))
        seen.append(Seen(time.monotonic(), who, version))
        return answer

    wrong = 0
    with Load(envoy.port, True, USERS, ask, keep=lambda _: None, wants=lambda _: True) as load:
        time.sleep(SECONDS)
        for enabled in [True, False, True, False]:
            wanted = MEANWHILE if enabled else BEFORE
            began = time.monotonic()
            envoy.policy_file.write(policy(enabled))
            time.sleep(SECONDS)
            after = [one for one in list(seen) if one.at >= began]
            late = [one.at for one in after if one.answer != wanted[one.who]]
            took = 1000 * (max(late, default=began) - began)
            wrong += took > 1000 * SECONDS / 2
            console.print(f"\n[bold]Maintenance is switched {'on' if enabled else 'off'}[/bold]\n")
            rows = table("who", "answered by", "requests")
            settled = Counter(
                (one.who, one.answer) for one in after if one.at > began + took / 1000
            )
            for (who, answer), count in sorted(settled.items()):
                by = f"shop {answer}" if answer.startswith("v") else f"the proxy: {answer}"
                rows.add_row(ASKED[who][0], by, str(count))
            console.print(rows)
            console.print(
                f"{len(after)} requests; the last answer of before came {took:.0f} ms after the "
                "policy's file"
            )
    console.print(f"\n{load.requests} requests in all, lost: {len(load.failures) or 'none'}")
    return not wrong and not load.failures


def main(stage: Stage) -> bool:
    v1, v2 = stage.shops()
    upstreams = Upstreams(v1.port, v2.port)

    def edit(config: Json) -> None:
        recipes.route_to(config, "replica")

    envoy = stage.envoy(upstreams, policy(False), edit)
    stage.tell(
        envoy, f"; shop v1 on {v1.port}, shop v2, which reads from the replica, on {v2.port}"
    )
    with Client(envoy.port, False) as client:
        envoy.apply(policy(True))
        for accept in ["*/*", "text/html"]:
            answer = client.ask("/cart", method="POST", headers={"accept": accept}, explain=False)
            console.print(f"\n[bold]POST /cart, accept: {accept}[/bold]\n")
            console.print(recipes.printed(answer), markup=False)
        envoy.apply(policy(False))
    return show(envoy)


if __name__ == "__main__":
    play(main, "\nEnvoy and both shops are stopped.")
