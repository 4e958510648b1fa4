"""The filter's own endpoints, and the one place that knows the form of the state document."""

from __future__ import annotations

import json
from typing import Any

from . import raw
from .client import Answer, Client
from .envoy import Envoy, eventually
from .policies import TRUSTED_CALLER, Json

HOST = "serinus.internal"
PAGE: Json = {"pathPrefix": "/serinus", "hosts": [HOST], "when": [TRUSTED_CALLER]}


def get(envoy: Envoy, path: str) -> tuple[int, str]:
    """Status and body of an endpoint, asked on a new connection and so of any worker."""
    headers = [(b"host", HOST.encode())]
    status, body = raw.send(envoy.port, True, b"GET", f"/serinus/{path}".encode(), headers)
    return status, body.decode()


class Variant:
    """What the document says of a variant."""

    def __init__(self, document: Json):
        self._document = document

    @property
    def name(self) -> str:
        return self._document["variant"]

    @property
    def outcomes(self) -> dict[str, int]:
        """Finished requests by outcome, without those that never happened."""
        return {name: count for name, count in self._document["outcomes"].items() if count}

    @property
    def attempts(self) -> int:
        return self._document["attempts"]

    @property
    def decisions(self) -> dict[str, int]:
        return self._document["decisions"]

    @property
    def percentiles(self) -> dict[str, float]:
        """p50, p95 and p99 of the last ten minutes, in milliseconds; empty without requests."""
        latency = self._document["last_ten_minutes"]["latency_us"] or {}
        return {name: value / 1000 for name, value in latency.items()}

    @property
    def hosts(self) -> dict[str, Json]:
        """The upstream hosts by address."""
        return {host["address"]: host for host in self._document["hosts"]}

    @property
    def gate(self) -> Json:
        return self._document["gate"]

    @property
    def share(self) -> Json:
        return self._document["share"]


class State:
    """A state document."""

    def __init__(self, envoy: Envoy):
        status, text = get(envoy, "state.json")
        assert status == 200, f"{status} {text[:500]}"
        self.document: dict[str, Any] = json.loads(text)

    def route(self, name: str) -> Json:
        return next(route for route in self.document["routes"] if route["route"] == name)

    def variant(self, route: str, variant: str) -> Variant:
        found = self.route(route)["variants"]
        return Variant(next(it for it in found if it["variant"] == variant))

    def slow_milliseconds(self, route: str) -> float | None:
        """Stable's slow bound; None while it is not known."""
        bound = self.route(route)["slow_us"]
        return None if bound is None else bound / 1000


def every_worker_says(envoy: Envoy, what: str, holds: Any, seconds: float = 15.0) -> None:
    """Waits until the state documents of twenty connections in a row have it."""

    def all_hold() -> bool:
        return all(holds(State(envoy)) for _ in range(20))

    eventually(all_hold, what, seconds)


def ask(client: Client, path: str, **others: Any) -> Answer:
    """A request to the host of the endpoints."""
    return client.ask(path, host=HOST, **others)
