"""An API moves in three legs, forward and back, under load and without a lost request or write."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from serinus_e2e.client import Client
from serinus_e2e.config import Upstreams
from serinus_e2e.envoy import EcdsEnvoy, becomes, eventually
from serinus_e2e.load import Load
from serinus_e2e.store import Store
from serinus_e2e.widgets import (
    COMPARE,
    MOVE,
    READERS,
    SEEDS,
    WRITE_BOTH,
    Widgets,
    before,
    moved,
    on_new,
)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    with ExitStack() as stack:
        old = stack.enter_context(Store("old", tmp_path / "old.db"))
        yield old, stack.enter_context(Store("new", tmp_path / "new.db"))


@pytest.fixture
def proxied(start, stores: tuple[Store, Store]) -> EcdsEnvoy:
    old, new = stores
    return start(before(), Upstreams(old.port, new.port))


def pairs(envoy: EcdsEnvoy) -> dict[str, float]:
    return envoy.counts("serinus_shadow_raw_pairs_total", "outcome", route="reads")


def go(envoy: EcdsEnvoy, load: Load, policy: object) -> set[str]:
    """Puts a leg in force; who reads from the new store then."""
    envoy.apply(policy)
    load.another_round()
    return on_new(load)


def test_the_legs_go_forward_and_back_under_load(
    proxied: EcdsEnvoy, stores: tuple[Store, Store], http2: bool
) -> None:
    envoy, (old, new) = proxied, stores
    widgets = Widgets(envoy.port, http2, old, new)
    widgets.seed()
    assert new.widgets() == []
    with widgets.load() as load:
        load.another_round()
        assert go(envoy, load, WRITE_BOTH) == set()
        began = time.monotonic()
        widgets.fill()

        assert go(envoy, load, COMPARE) == set()
        eventually(lambda: pairs(envoy).get("equal", 0) > 50, "reads are compared", 30)
        quarter = go(envoy, load, MOVE)
        assert 0 < len(quarter) < len(READERS)
        half = go(envoy, load, moved("60%"))
        assert quarter < half < set(READERS)
        compared = pairs(envoy)["equal"]
        eventually(lambda: pairs(envoy)["equal"] > compared, "the others are still compared", 30)

        assert go(envoy, load, MOVE) == quarter
        assert go(envoy, load, COMPARE) == set()
        assert go(envoy, load, moved("60%")) == half
        assert go(envoy, load, WRITE_BOTH) == set()
        left = time.monotonic()
        assert go(envoy, load, before()) == set()
        over = time.monotonic()
        load.another_round()
        ended = time.monotonic()
    assert load.failures == []
    assert set(pairs(envoy)) == {"equal"}

    copied = widgets.written_between(began, left)
    assert len(copied) > 0
    becomes(lambda: widgets.missing(copied), set(), "every write of the legs is in both")
    assert envoy.counts("serinus_shadow_skipped_total", "reason", route="writes") == {}
    assert widgets.missing(set(SEEDS)) == set(), "it was filled"
    after = widgets.written_between(over, ended)
    assert len(after) > 0
    assert widgets.missing(after) == after
    in_old = {one["id"]: one for one in old.widgets()}
    assert {key for _, _, key in widgets.written} == set(in_old)
    assert all(in_old[one["id"]] == one for one in new.widgets())


def test_what_callers_write_behind_the_path_arrives_behind_the_new_one(
    start, upstreams: Upstreams, http2: bool
) -> None:
    envoy = start(moved("100%"), upstreams)
    with Client(envoy.port, http2) as client:
        for asked, arrives in [
            ("/get_widgets", "/v2/widgets"),
            ("/get_widgets?size=7", "/v2/widgets?size=7"),
            ("/get_widgets/w%2F1?a=b", "/v2/widgets/w%2F1?a=b"),
        ]:
            answer = client.ask(asked, headers={"x-user-id": "anna"}, explain=False)
            assert (answer.version, answer.path) == ("v2", arrives)
