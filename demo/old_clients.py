"""Old clients at work: who still uses an old version is told to refresh, and nobody else is.

Run it by `make demo-old-clients`. The policy is that of docs/recipes/old-clients.md. Every number
was measured in that run; it ends with 1 if a client was answered otherwise than it should.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from scenario import Stage, console, play, table

from serinus_e2e import recipes
from serinus_e2e.client import Answer, Client
from serinus_e2e.config import Upstreams
from serinus_e2e.envoy import EcdsEnvoy, eventually
from serinus_e2e.load import Load

ROUNDS = 20
OLD_PAGE, NEW_PAGE = ({"cookie": f"app_version={version}"} for version in ("1.9.3", "2.0.0"))
OPENS = {"sec-fetch-mode": "navigate"}


class Asks(NamedTuple):
    """A client, what it asks, and what it should get."""

    who: str
    path: str
    headers: dict[str, str]
    status: int


CLIENTS = [
    Asks("a browser with the old page opens another", "/cart", OLD_PAGE | OPENS, 303),
    Asks("it opens the page that refreshes", "/refresh", OLD_PAGE | OPENS, 200),
    Asks("the old page's script and images", "/cart", OLD_PAGE | {"sec-fetch-mode": "cors"}, 200),
    Asks("a browser with the new page", "/cart", NEW_PAGE | OPENS, 200),
    Asks("a browser that was never here", "/cart", OPENS, 200),
    Asks("an app of version 1.9.3 calls the API", "/api/cart", {"x-app-version": "1.9.3"}, 426),
    Asks("it asks for what is no API", "/terms", {"x-app-version": "1.9.3"}, 200),
    Asks("an app of version v2.0 calls the API", "/api/cart", {"x-app-version": "v2.0"}, 200),
    Asks("a program that says no version", "/api/cart", {}, 200),
]


def show(envoy: EcdsEnvoy) -> bool:
    """Asks as all of them; whether each was answered as it should be."""
    seen: Counter[tuple[int, int]] = Counter()

    def ask(client: Client, user: str) -> Answer:
        asks = CLIENTS[int(user)]
        answer = client.ask(asks.path, headers=asks.headers, explain=False)
        seen[int(user), answer.status] += 1
        return answer

    users = [str(number) for number in range(len(CLIENTS))]
    with Load(envoy.port, True, users, ask, keep=lambda _: None, wants=lambda _: True) as load:
        eventually(lambda: load.rounds >= ROUNDS, "all have asked", 60)
    rows = table("who", "answered", "requests")
    for (number, status), count in sorted(seen.items()):
        told = {303: "303, see /refresh", 426: "426, please update"}.get(status, str(status))
        rows.add_row(CLIENTS[number].who, told, str(count))
    console.print(rows)
    told = sum(count for (_, status), count in seen.items() if status != 200)
    refused = {"route": "shop", "outcome": "refused"}
    eventually(
        lambda: sum(envoy.counts("serinus_requests_total", "route", **refused).values()) == told,
        "all that were told are counted",
    )
    console.print(
        f"{load.requests} requests, lost: {len(load.failures) or 'none'}; told to refresh: {told}, "
        "counted as refused, and against no version"
    )
    right = all(status == CLIENTS[number].status for number, status in seen)
    return right and not load.failures


def main(stage: Stage) -> bool:
    (policy,) = recipes.policies("old-clients")
    v1, v2 = stage.shops()
    upstreams = Upstreams(v1.port, v2.port)
    envoy = stage.envoy(upstreams, policy)
    stage.tell(envoy, "\n")
    held = show(envoy)
    for asks in [CLIENTS[0], CLIENTS[5]]:
        with Client(envoy.port, False) as client:
            answer = client.ask(asks.path, headers=asks.headers, explain=False)
        console.print(f"\n[bold]{asks.who}: GET {asks.path}[/bold]\n")
        console.print(recipes.printed(answer), markup=False)
    return held


if __name__ == "__main__":
    play(main, "\nEnvoy and both shops are stopped.")
