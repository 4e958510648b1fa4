"""What a change of the policy's file does to requests: who was answered by whom, and when."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NamedTuple

from .client import Answer, Client
from .envoy import EcdsEnvoy
from .load import Load
from .policies import Json


class Seen(NamedTuple):
    """An answer: when it was asked for, when it came, and the version."""

    asked: float
    came: float
    version: str


class Flip(NamedTuple):
    """What came after one change."""

    # From the file's change to the last answer of another version, in milliseconds; 0 if none came.
    last_old_ms: float
    # Answers by another version to requests that were sent after every worker had the change.
    late: int
    answers: int


@dataclass
class Flips:
    """Requests of many users, by any of whom the versions are told apart."""

    envoy: EcdsEnvoy
    http2: bool
    users: list[str]
    seen: list[Seen] = field(default_factory=list)

    def load(self) -> Load:
        return Load(self.envoy.port, self.http2, self.users, self._ask)

    def _ask(self, client: Client, user: str) -> Answer:
        asked = time.monotonic()
        answer = client.ask("/cart", headers={"x-user-id": user}, explain=False)
        version = answer.response.headers.get("x-shop-version", "")
        self.seen.append(Seen(asked, time.monotonic(), version))
        return answer

    def to(self, version: str, policy: Json, load: Load) -> Flip:
        """Puts a policy in place that sends everybody to one version."""
        began = time.monotonic()
        self.envoy.apply(policy)
        applied = time.monotonic()
        load.another_round()
        after = [one for one in list(self.seen) if one.came >= began]
        old = [one for one in after if one.version != version]
        last = max((one.came for one in old), default=began)
        late = sum(one.asked > applied for one in old)
        return Flip(1000 * (last - began), late, len(after))
