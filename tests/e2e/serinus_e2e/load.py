"""Requests of many users that go on while something else happens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from .client import Answer, Client
from .envoy import eventually

# A round takes a second or two; a machine that compiles beside it may need far longer.
ROUND_SECONDS = 60.0


@dataclass
class Load:
    """Asks for every user in turn, again and again, from entering to leaving the `with` block.

    One thread with one connection asks for a given user, so the order in `answers` is the order in
    which that user was answered. `keep` says what of an answer is kept there, and `wants` which
    answers are no failures.
    """

    port: int
    http2: bool
    users: list[str]
    ask: Callable[[Client, str], Answer]
    threads: int = 4
    keep: Callable[[Answer], Any] = lambda answer: answer.version
    wants: Callable[[Answer], bool] = lambda answer: answer.status == 200
    answers: dict[str, list[Any]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._end = threading.Event()
        self.answers = {user: [] for user in self.users}
        self._running = [
            threading.Thread(target=self._ask_for, args=(self.users[first :: self.threads],))
            for first in range(self.threads)
        ]
        for thread in self._running:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._running:
            thread.join()

    @property
    def requests(self) -> int:
        return sum(map(len, self.answers.values())) + len(self.failures)

    @property
    def rounds(self) -> int:
        """How often every user has been answered."""
        return min(map(len, self.answers.values()))

    def another_round(self) -> None:
        """Waits until every user has been asked for anew, from now on."""
        # The round under way may have begun before.
        enough = self.rounds + 2
        eventually(lambda: self.rounds >= enough, "every user is answered again", ROUND_SECONDS)

    def _ask_for(self, users: list[str]) -> None:
        with Client(self.port, self.http2) as client:
            while not self._end.is_set():
                for user in users:
                    self._ask_once(client, user)

    def _ask_once(self, client: Client, user: str) -> None:
        try:
            answer = self.ask(client, user)
        except httpx.HTTPError as error:
            self.failures.append(f"{user}: {error!r}")
            return
        if self.wants(answer):
            self.answers[user].append(self.keep(answer))
        else:
            self.failures.append(f"{user}: {answer.status}")
