"""Users who read and write widgets while their API moves: docs/recipes/api-move.md."""

from __future__ import annotations

import copy
import itertools
import json
import time

import httpx

from . import recipes
from .client import Answer, Client
from .load import Load
from .policies import Json
from .store import Store

WRITE_BOTH, COMPARE, MOVE = recipes.policies("api-move")
# What users read; what they write is not read, since a copy is on its way for a moment.
SEEDS = [f"w{number:03}" for number in range(20)]
READERS = [f"reader-{number}" for number in range(36)]
WRITERS = [f"writer-{number}" for number in range(4)]


def before() -> Json:
    """No leg."""
    policy = copy.deepcopy(WRITE_BOTH)
    del policy["routes"][0]["shadow"]
    return policy


def moved(share: str) -> Json:
    """Leg 3 with this share."""
    policy = copy.deepcopy(MOVE)
    policy["routes"][0]["variants"][0]["share"] = share
    return policy


def widget(key: str) -> Json:
    return {"id": key, "name": f"the {key}", "price": 7.45, "tags": ["new"]}


class Widgets:
    """Both stores, and those who ask for what is in them."""

    def __init__(self, port: int, http2: bool, old: Store, new: Store):
        self.port, self.http2, self.old, self.new = port, http2, old, new
        self._next = itertools.count()
        # When each write was sent and answered, with its widget.
        self.written: list[tuple[float, float, str]] = []

    def seed(self) -> None:
        with Client(self.port, self.http2) as client:
            for key in SEEDS:
                self._write(client, key)

    def fill(self) -> None:
        """Gives the new store what only the old one has, past the proxy."""
        there = {one["id"] for one in self.new.widgets()}
        for one in self.old.widgets():
            if one["id"] not in there:
                url = f"http://127.0.0.1:{self.new.port}/v2/widgets/{one['id']}"
                httpx.put(url, json=one).raise_for_status()

    def load(self) -> Load:
        """Keeps the store that answered a read."""

        def store(answer: Answer) -> str:
            return answer.response.headers["x-store"]

        return Load(
            self.port,
            self.http2,
            [*READERS, *WRITERS],
            self._ask,
            keep=store,
            wants=lambda answer: answer.status in (200, 201),
        )

    def _ask(self, client: Client, user: str) -> Answer:
        kind, _, number = user.partition("-")
        if kind == "writer":
            return self._write(client, f"x{next(self._next):06}")
        path = f"/get_widgets/{SEEDS[int(number) % len(SEEDS)]}"
        return client.ask(path, headers={"x-user-id": user}, explain=False)

    def _write(self, client: Client, key: str) -> Answer:
        sent = time.monotonic()
        headers = {"content-type": "application/json"}
        body = json.dumps(widget(key)).encode()
        answer = client.ask("/get_widgets", method="POST", headers=headers, body=body)
        if answer.status == 201:
            self.written.append((sent, time.monotonic(), key))
        return answer

    def written_between(self, begin: float, end: float) -> set[str]:
        """The widgets whose writing was sent and answered in that time."""
        written = list(self.written)
        return {key for sent, done, key in written if begin <= sent and done <= end}

    def missing(self, keys: set[str]) -> set[str]:
        """Those that the new store lacks."""
        return keys - {one["id"] for one in self.new.widgets()}


def on_new(load: Load) -> set[str]:
    """The readers whose last answer came from the new store."""
    return {user for user in READERS if load.answers[user][-1] != "old"}
