"""Blue-green at work: a flip of the policy's file sends everybody to green, and back, under load.

Run it by `make demo-blue-green`. The policy is that of docs/recipes/blue-green.md. Every number was
measured in that run; it ends with 1 if a request was lost, or was sent to the old colour after the
flip.
"""

from __future__ import annotations

import time

from scenario import Stage, console, play, table

from serinus_e2e import recipes
from serinus_e2e.config import Upstreams
from serinus_e2e.envoy import EcdsEnvoy
from serinus_e2e.flips import Flips
from serinus_e2e.policies import Json

USERS = [str(number) for number in range(60)]
SECONDS = 1.0
COLOURS = {"0%": ("blue", "v1"), "100%": ("green", "v2")}


def policy(share: str) -> Json:
    (given,) = recipes.policies("blue-green")
    return recipes.with_share(given, share)


def show(envoy: EcdsEnvoy) -> bool:
    """Flips four times; whether all went as they should."""
    flips = Flips(envoy, True, USERS)
    late = 0
    rows = table("share", "everybody is on", "last answer of the other", "answers since", "late")
    with flips.load() as load:
        load.another_round()
        for share in ["100%", "0%", "100%", "0%"]:
            colour, version = COLOURS[share]
            time.sleep(SECONDS)
            flip = flips.to(version, policy(share), load)
            late += flip.late
            after = f"{flip.last_old_ms:.0f} ms after the file"
            rows.add_row(share, colour, after, str(flip.answers), str(flip.late or "none"))
    console.print(rows)
    console.print(f"{load.requests} requests in all, lost: {len(load.failures) or 'none'}")
    return not late and not load.failures


def main(stage: Stage) -> bool:
    v1, v2 = stage.shops()
    upstreams = Upstreams(v1.port, v2.port)
    envoy = stage.envoy(upstreams, policy("0%"), lambda it: recipes.route_to(it, "green"))
    stage.tell(envoy, f"; blue on {v1.port}, green on {v2.port}")
    return show(envoy)


if __name__ == "__main__":
    play(main, "Envoy and both colours are stopped.")
