"""Blue-green: a change of the policy's file sends everybody to green or back; nobody is lost."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from serinus_e2e import recipes
from serinus_e2e.client import Client
from serinus_e2e.config import Config, Upstreams
from serinus_e2e.envoy import eventually
from serinus_e2e.flips import Flips
from serinus_e2e.shop import Shop

(BLUE,) = recipes.policies("blue-green")
COLOURS = {"0%": "v1", "100%": "v2"}
flipped = partial(recipes.with_share, BLUE)


def edit(config: Config) -> None:
    recipes.route_to(config, "green")


@pytest.fixture
def green() -> Iterator[Shop]:
    with Shop.start("v2") as shop:
        yield shop


def test_the_page_shows_what_happens(start, upstreams: Upstreams) -> None:
    envoy = start(BLUE, upstreams, edit)
    with Client(envoy.port, False) as client:
        recipes.follow("blue-green", 2, client)


def test_a_flip_under_load_is_complete_and_loses_no_request(
    start, upstreams: Upstreams, http2: bool
) -> None:
    """How long it took is printed."""
    envoy = start(BLUE, upstreams, edit)
    flips = Flips(envoy, http2, [str(number) for number in range(40)])
    with flips.load() as load:
        load.another_round()
        assert {one.version for one in flips.seen} == {"v1"}
        for share in ["100%", "0%", "100%", "0%"]:
            flip = flips.to(COLOURS[share], flipped(share), load)
            print(f"{share}: last answer of the old colour after {flip.last_old_ms:.0f} ms")
            assert flip.answers > 0
            assert flip.late == 0, flip
    assert load.failures == []


def test_a_green_that_fails_is_left_by_everybody_and_stays_left(
    start, upstreams: Upstreams, green: Shop, http2: bool
) -> None:
    judged = {"warmup": "1s"}
    envoy = start(flipped("100%", **judged), Upstreams(upstreams.v1, green.port), edit)

    def answers(client: Client) -> set[str]:
        asked = (client.ask("/cart", explain=False) for _ in range(40))
        return {answer.response.headers.get("x-shop-version", "failed") for answer in asked}

    def serves(version: str) -> None:
        with Client(envoy.port, http2) as client:
            eventually(lambda: answers(client) == {version}, f"{version} serves all", 60)

    serves("v2")
    green.fail()
    serves("v1")
    # The share is no way back in, a new revision is.
    envoy.apply(flipped("0%", **judged))
    envoy.apply(flipped("100%", **judged))
    serves("v1")
    envoy.apply(flipped("100%", **judged, revision="2"))
    with Client(envoy.port, http2) as client:
        assert answers(client) == {"failed"}
