"""An API moves at work: three legs, forward and back, while users read and write two real stores.

Run it by `make demo-api-move`. The policies are those of docs/recipes/api-move.md. Every number was
measured in that run; it ends with 1 if a request was lost, a caller moved that should not, or a
write of the legs is not in both stores.
"""

from __future__ import annotations

import time

from scenario import Stage, console, play, table

from serinus_e2e.config import Upstreams
from serinus_e2e.envoy import EcdsEnvoy, eventually
from serinus_e2e.policies import Json
from serinus_e2e.store import Store
from serinus_e2e.widgets import COMPARE, READERS, WRITE_BOTH, Widgets, before, moved, on_new

SECONDS = 2.0
COPIED, COMPARED, MOVED = "1 both written", "2 reads compared", "3 reads moved"
LEGS: list[tuple[str, Json]] = [
    (COPIED, WRITE_BOTH),
    (COMPARED, COMPARE),
    (f"{MOVED}, 25%", moved("25%")),
    (f"{MOVED}, 60%", moved("60%")),
    (f"back: {MOVED}, 25%", moved("25%")),
    (f"back: {COMPARED}", COMPARE),
    (f"again: {MOVED}, 60%", moved("60%")),
    (f"back: {COPIED}", WRITE_BOTH),
]


def pairs(envoy: EcdsEnvoy) -> dict[str, float]:
    return envoy.counts("serinus_shadow_raw_pairs_total", "outcome", route="reads")


def show(envoy: EcdsEnvoy, widgets: Widgets) -> bool:
    """Goes through the legs; whether each did what it should."""
    rows = table("leg", "read from the new store", "pairs compared", "different")
    readers: dict[str, set[str]] = {}
    with widgets.load() as load:
        load.another_round()
        began = 0.0
        for name, policy in LEGS:
            envoy.apply(policy)
            if not began:
                began = time.monotonic()
                widgets.fill()
            load.another_round()
            time.sleep(SECONDS)
            share = name.rpartition(", ")[2] if "," in name else "none"
            now = on_new(load)
            held = readers.setdefault(share, now) == now
            seen = pairs(envoy)
            numbers = [f"{len(now)} of {len(READERS)}", f"{sum(seen.values()):.0f}"]
            rows.add_row(name, *numbers, f"{seen.get('different', 0):.0f}")
            if not held:
                console.print(f"{name}: others than before read from the new store")
        left = time.monotonic()
        envoy.apply(before())
        load.another_round()
    console.print(rows)
    copied = widgets.written_between(began, left)
    eventually(lambda: not widgets.missing(copied), "every write of the legs is in both")
    every = {key for _, _, key in widgets.written}
    console.print(
        f"{load.requests} requests in all, lost: {len(load.failures) or 'none'}; writes of the "
        f"legs: {len(copied)}, all in both stores; only in the old store: "
        f"{len(widgets.missing(every))}"
    )
    sticky = readers["none"] == set() and readers["25%"] < readers["60%"]
    return sticky and not load.failures and "different" not in pairs(envoy)


def main(stage: Stage) -> bool:
    old = stage.start(Store("old", stage.folder / "old.db"))
    new = stage.start(Store("new", stage.folder / "new.db"))
    envoy = stage.envoy(Upstreams(old.port, new.port), before())
    stage.tell(
        envoy,
        f"; the old store serves /get_widgets on {old.port}, the new one /v2/widgets on "
        f"{new.port}\n",
    )
    widgets = Widgets(envoy.port, True, old, new)
    widgets.seed()
    return show(envoy, widgets)


if __name__ == "__main__":
    play(main, "Envoy and both stores are stopped.")
