"""Long connections: they stay with their version, until a gate that shut may end them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import httpx
import pytest

from serinus_e2e import recipes
from serinus_e2e.client import Client
from serinus_e2e.config import Upstreams
from serinus_e2e.envoy import EcdsEnvoy, becomes, eventually
from serinus_e2e.load import Load
from serinus_e2e.shop import EVENTS, Shop
from serinus_e2e.sockets import HOST, Socket, Sockets, let_through

(RECIPE,) = recipes.policies("sessions")
USERS = [f"user-{number}" for number in range(24)]
# What docs/recipes/sessions.md calls long.
LONG_SECONDS = 60
shares = partial(recipes.with_share, RECIPE)


def asked(envoy: EcdsEnvoy, http2: bool = False) -> dict[str, str]:
    """Which version answers a new request of each user."""
    with Client(envoy.port, http2) as client:
        answers = {
            user: client.ask("/", headers={"x-user-id": user}, explain=False) for user in USERS
        }
    return {user: answer.version for user, answer in answers.items()}


def on_canary(versions: dict[str, str]) -> set[str]:
    return {user for user, version in versions.items() if version == "v2"}


def cut(envoy: EcdsEnvoy) -> dict[str, float]:
    return envoy.counts("serinus_streams_cut_total", "variant", route="shop")


@pytest.fixture
def canary() -> Iterator[Shop]:
    with Shop.start("v2") as shop:
        yield shop


def test_websockets_stay_while_shares_move_nobody_but_whom_they_must(
    start, upstreams: Upstreams, http2: bool
) -> None:
    envoy = start(shares("25%"), upstreams, let_through)
    with Sockets(envoy.port, USERS) as sockets:
        first = asked(envoy, http2)
        assert sockets.versions() == first
        few = on_canary(first)
        assert 0 < len(few) < len(USERS)
        on = {"25%": few}
        for share in ["75%", "25%", "5%", "0%", "25%"]:
            envoy.apply(shares(share))
            now = on_canary(asked(envoy, http2))
            assert now == on.setdefault(share, now), "the same share has the same users"
            assert sockets.versions() == first, share
        assert on["0%"] == set()
        assert on["5%"] <= on["25%"] < on["75%"]
        envoy.apply(shares("75%"))
        with Sockets(envoy.port, USERS) as others:
            assert on_canary(others.versions()) == on["75%"]
        assert sockets.versions() == first


def test_websockets_outlive_policies_good_and_bad(start, upstreams: Upstreams) -> None:
    envoy = start(shares("50%"), upstreams, let_through)
    with Sockets(envoy.port, USERS) as sockets:
        first = sockets.versions()
        assert set(first.values()) == {"v1", "v2"}
        for number in range(10):
            bad = {"routes": "none"}
            envoy.apply(bad if number % 5 == 4 else shares(f"{number}%", revision=str(number)))
            assert sockets.versions() == first
    assert cut(envoy) == {}


@pytest.mark.parametrize("long_lived", ["keep", "cut"])
def test_a_gate_that_shuts_for_errors_ends_websockets_only_if_it_may(
    start, upstreams: Upstreams, canary: Shop, http2: bool, long_lived: str
) -> None:
    policy = shares("50%", warmup="1s", longLived=long_lived)
    envoy = start(policy, Upstreams(upstreams.v1, canary.port), let_through)

    def ask(client: Client, user: str) -> object:
        return client.ask("/", headers={"x-user-id": user}, explain=False)

    with Sockets(envoy.port, USERS) as sockets:
        before = sockets.versions()
        users = [f"caller-{number}" for number in range(400)]
        any_answer = {"keep": lambda _: None, "wants": lambda _: True}
        with Load(envoy.port, http2, users, ask, **any_answer) as load:  # type: ignore[arg-type]
            time.sleep(2.5)
            assert sockets.versions() == before
            canary.fail()
            shut = {"route": "shop", "variant": "canary"}
            becomes(
                lambda: envoy.counts("serinus_gate_state", "state", **shut), {"shut": 1}, "shut", 60
            )
        assert load.failures == []
        # Every worker obeys within a quarter of a second.
        time.sleep(0.5)
        after = sockets.versions()
        ended = on_canary(before)
        assert len(ended) > 0
        if long_lived == "keep":
            assert after == before
            assert cut(envoy) == {}
            return
        assert after == {user: "" if user in ended else "v1" for user in before}
        becomes(lambda: cut(envoy), {"canary": len(ended)}, "each is counted once")
        outcomes = envoy.counts("serinus_requests_total", "outcome", variant="canary")
        assert outcomes["aborted"] == len(ended)
        with Sockets(envoy.port, USERS) as again:
            assert set(again.versions().values()) == {"v1"}


def test_a_version_speaking_first_is_cut_as_well(start, upstreams: Upstreams) -> None:
    """The caller only listens: it is the version's own bytes that end it."""
    envoy = start(shares("100%"), upstreams, let_through)
    with Socket(envoy.port, {"x-user-id": "anna"}) as socket:
        assert socket.say() == "v2"
        socket.send("later 3")
        envoy.apply(shares("100%", held="shut"))
        assert socket.hears() == ""


class Streams:
    """Streams that go on until they are cut: events of the version, and endless uploads."""

    def __init__(self, port: int):
        self.ended: dict[str, bool] = {}
        self._port, self._over = port, threading.Event()

    def begin(self, name: str, http2: bool, uploads: bool, user: str) -> threading.Thread:
        self.ended[name] = False
        thread = threading.Thread(target=self._run, args=(name, http2, uploads, user), daemon=True)
        thread.start()
        return thread

    def _run(self, name: str, http2: bool, uploads: bool, user: str) -> None:
        transport = httpx.HTTPTransport(http1=not http2, http2=http2)
        headers = {"x-user-id": user, "host": HOST}
        url = f"http://127.0.0.1:{self._port}"
        with httpx.Client(transport=transport, timeout=20) as client:
            try:
                if uploads:
                    client.post(f"{url}/", headers=headers, content=self._drops())
                    return
                with client.stream("GET", f"{url}{EVENTS}", headers=headers) as answer:
                    for _ in answer.iter_raw():
                        if self._over.is_set():
                            return
            except httpx.HTTPError:
                self.ended[name] = True

    def _drops(self) -> Iterator[bytes]:
        while not self._over.is_set():
            yield b"drop"
            time.sleep(0.1)

    def end(self) -> None:
        self._over.set()


def test_streams_of_either_direction_are_cut_once_they_have_lasted(
    start, upstreams: Upstreams
) -> None:
    envoy = start(shares("50%"), upstreams, let_through)
    who = asked(envoy)
    of = {version: next(user for user in USERS if who[user] == version) for version in ("v1", "v2")}
    streams = Streams(envoy.port)
    with ExitStack() as stack:
        stack.callback(streams.end)

        def begin(age: str) -> None:
            for http2 in [False, True]:
                for version, user in of.items():
                    protocol = "http2" if http2 else "http1"
                    streams.begin(f"{age} events {protocol} {version}", http2, False, user)
                    streams.begin(f"{age} upload {protocol} {version}", http2, True, user)

        begin("old")
        time.sleep(LONG_SECONDS + 1)
        begin("young")
        time.sleep(0.5)
        assert not any(streams.ended.values())
        envoy.apply(shares("50%", held="shut"))
        becomes(lambda: cut(envoy), {"canary": 4}, "the old streams of the canary are cut")
        # Over HTTP/2 this client notices a reset only once it reads.
        told = {name for name in streams.ended if "upload http2" not in name}
        old = {name for name in told if name.startswith("old") and name.endswith("v2")}
        eventually(lambda: all(streams.ended[name] for name in old), "their callers are told")
        assert {name for name in told if streams.ended[name]} == old
