"""Sessions at work: WebSockets stay with their version while shares and policies change, and end
where a gate that shut for errors may cut them.

Run it by `make demo-sessions`. The policy is that of docs/recipes/sessions.md. Every number was
measured in that run; it ends with 1 if a WebSocket moved or was lost that should not.
"""

from __future__ import annotations

import time

from scenario import Stage, console, play, table

from serinus_e2e import recipes
from serinus_e2e.client import Answer, Client
from serinus_e2e.config import Upstreams
from serinus_e2e.envoy import EcdsEnvoy, eventually
from serinus_e2e.load import Load
from serinus_e2e.policies import Json
from serinus_e2e.shop import Shop
from serinus_e2e.sockets import Sockets, let_through

USERS = [f"user-{number}" for number in range(40)]
CROWD = [f"caller-{number}" for number in range(2000)]
SHARE = "25%"
RELOADS = 20
# Nothing is judged in a gate's first minute; nobody wants to wait for that here.
WARMUP_SECONDS = 3


def policy(share: str) -> Json:
    (given,) = recipes.policies("sessions")
    return recipes.with_share(given, share, warmup=f"{WARMUP_SECONDS}s")


def asked(envoy: EcdsEnvoy) -> dict[str, str]:
    """Which version answers a new request of each user."""
    with Client(envoy.port, True) as client:
        return {
            user: client.ask("/", headers={"x-user-id": user}, explain=False).version
            for user in USERS
        }


def on(versions: dict[str, str], version: str) -> set[str]:
    return {user for user, one in versions.items() if one == version}


def show_shares(envoy: EcdsEnvoy, sockets: Sockets) -> bool:
    """Raises and lowers the share; whether no WebSocket moved."""
    first = sockets.versions()
    before, held, given = on(first, "v2"), True, SHARE
    rows = table("share", "users on the canary", "came", "left", "WebSockets on it", "moved")
    for share in [SHARE, "75%", SHARE, "0%", SHARE]:
        if given != share:
            envoy.apply(policy(share))
            given = share
        now, open_now = on(asked(envoy), "v2"), sockets.versions()
        moved = sum(first[user] != open_now[user] for user in USERS)
        held = held and not moved and (now <= before or before <= now)
        came, left = len(now - before), len(before - now)
        counts = [str(len(now)), str(came), str(left), str(len(on(open_now, "v2")))]
        rows.add_row(share, *counts, str(moved or "none"))
        before = now
    console.print(rows)
    for number in range(RELOADS):
        envoy.apply({**policy(SHARE), "report": {"hosts": number % 2 == 0}})
    lost = sum(first[user] != version for user, version in sockets.versions().items())
    console.print(f"after {RELOADS} more policies, WebSockets lost or moved: {lost or 'none'}")
    return held and not lost


def break_canary(envoy: EcdsEnvoy, canary: Shop) -> float:
    """Breaks the canary under load; seconds until its gate was shut."""

    def ask(client: Client, user: str) -> Answer:
        return client.ask("/", headers={"x-user-id": user}, explain=False)

    def is_shut() -> bool:
        states = envoy.counts("serinus_gate_state", "state", route="shop", variant="canary")
        return states == {"shut": 1}

    with Load(envoy.port, True, CROWD, ask, keep=lambda _: None, wants=lambda _: True):
        time.sleep(WARMUP_SECONDS + 1)
        began = time.monotonic()
        canary.fail()
        eventually(is_shut, "the gate is shut", 60)
        return time.monotonic() - began


def show_cut(envoy: EcdsEnvoy, canary: Shop, sockets: Sockets) -> bool:
    """Lets the gate shut; whether the canary's WebSockets ended, and no others."""
    before = sockets.versions()
    console.print(f"the canary breaks; its gate is shut {break_canary(envoy, canary):.1f} s later")
    time.sleep(0.5)
    after = sockets.versions()
    ended = on(after, "")
    console.print(f"WebSockets that were cut at their next bytes: {len(ended)}, all the canary's")
    eventually(
        lambda: sum(envoy.counts("serinus_streams_cut_total", "route").values()) == len(ended),
        "all are counted",
    )
    with Sockets(envoy.port, sorted(ended)) as again:
        back = on(again.versions(), "v1")
    console.print(f"of them came back to stable: {len(back)}")
    return ended == on(before, "v2") and back == ended


def main(stage: Stage) -> bool:
    v1, v2 = stage.shops()
    upstreams = Upstreams(v1.port, v2.port)
    envoy = stage.envoy(upstreams, policy(SHARE), let_through)
    stage.tell(envoy, "\n")
    with Sockets(envoy.port, USERS) as sockets:
        held = show_shares(envoy, sockets)
        held = show_cut(envoy, v2, sockets) and held
    return held


if __name__ == "__main__":
    play(main, "\nEnvoy and both shops are stopped.")
