"""Each way for a request to end is counted once, as the outcome that it is.

Every cause is made to happen `TIMES` times over each protocol, each time on a connection of its
own, so that both workers take part. Envoy's own access log says whether the cause happened.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serinus_e2e.causes import CAUSES, add_causes, causes_policy
from serinus_e2e.config import Upstreams
from serinus_e2e.envoy import EcdsEnvoy, becomes, eventually

TIMES = 3
REQUESTS = 2 * TIMES
# Workers tell their counts each second; after two of them nothing is on its way.
TELLING_SECONDS = 2.5


class Happenings:
    """Makes causes happen, each once, and keeps what Envoy logged of them."""

    def __init__(self, envoy: EcdsEnvoy, log: Path):
        self.envoy = envoy
        self._log = log
        self._ends: dict[str, list[dict[str, Any]]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._ends)

    def ends(self, name: str) -> list[dict[str, Any]]:
        """The log's entries of a cause, which happens now unless it did before."""
        if name not in self._ends:
            for http2 in [False, True]:
                for _ in range(TIMES):
                    CAUSES[name].send(self.envoy.port, f"{name}.test", http2)
            self._ends[name] = eventually(
                lambda: self._logged(name), f"{REQUESTS} requests of {name} are logged"
            )
        return self._ends[name]

    def _logged(self, name: str) -> list[dict[str, Any]]:
        lines = map(json.loads, self._log.read_text().splitlines())
        found = [line for line in lines if line["host"].partition(":")[0] == f"{name}.test"]
        return found if len(found) >= REQUESTS else []

    def outcomes(self, name: str) -> dict[str, float]:
        """What the filter counted for a cause's route, on the side that requests took."""
        labels = {"route": name, "variant": CAUSES[name].variant}
        return self.envoy.counts("serinus_requests_total", "outcome", **labels)


@pytest.fixture(scope="module")
def happenings(
    envoy_version: str,
    upstreams: Upstreams,
    broken: dict[str, int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Happenings]:
    folder = tmp_path_factory.mktemp("outcomes")

    def edit(config: dict[str, Any]) -> None:
        add_causes(config, broken)

    with EcdsEnvoy(envoy_version, folder, upstreams, causes_policy(), edit) as envoy:
        yield Happenings(envoy, folder / "ends.log")
        envoy.check_unhurt()


@pytest.mark.parametrize("name", CAUSES)
def test_envoy_says_what_happened(happenings: Happenings, name: str) -> None:
    cause, ends = CAUSES[name], happenings.ends(name)
    assert len(ends) == REQUESTS
    for end in ends:
        flags = cause.flags
        if end["protocol"] == "HTTP/2" and cause.flags_over_http2:
            flags = cause.flags_over_http2
        assert (end["flags"], end["details"][: len(cause.details)]) == (flags, cause.details)
        if cause.attempts is not None:
            assert end["attempts"] == cause.attempts


@pytest.mark.parametrize("name", CAUSES)
def test_each_request_is_counted_once_by_its_outcome(happenings: Happenings, name: str) -> None:
    happenings.ends(name)
    expected = {CAUSES[name].outcome: REQUESTS}
    becomes(lambda: happenings.outcomes(name), expected, f"the outcomes of {name}")


@pytest.mark.parametrize("name", [name for name in CAUSES if CAUSES[name].attempts])
def test_each_try_of_a_request_is_counted(happenings: Happenings, name: str) -> None:
    tries = sum(end["attempts"] for end in happenings.ends(name))
    labels = {"route": name, "variant": CAUSES[name].variant}
    eventually(
        lambda: (
            happenings.envoy.counts("serinus_attempts_total", "route", **labels) == {name: tries}
        ),
        f"{tries} tries of {name}",
    )


def test_no_worker_counts_twice(happenings: Happenings) -> None:
    """Long after all was counted there is no more of it, on no side and of no outcome."""
    for name in CAUSES:
        happenings.ends(name)
    expected = dict.fromkeys(CAUSES, float(REQUESTS))

    def counted() -> dict[str, float]:
        return happenings.envoy.counts("serinus_requests_total", "route")

    becomes(counted, expected, "every request is counted")
    time.sleep(TELLING_SECONDS)
    assert counted() == expected
    for name, cause in CAUSES.items():
        by_outcome = happenings.envoy.counts("serinus_requests_total", "outcome", route=name)
        assert by_outcome == {cause.outcome: REQUESTS}, name
