"""The recipe of docs/recipes/double-write.md, with its own policies, against two real stores."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from serinus_e2e import paths
from serinus_e2e.client import Answer, Client
from serinus_e2e.config import Upstreams
from serinus_e2e.envoy import EcdsEnvoy, becomes, eventually
from serinus_e2e.policies import Json
from serinus_e2e.state import State
from serinus_e2e.store import Store

PAGE = (paths.ROOT / "docs/recipes/double-write.md").read_text()
# A name in the first line of a block, as a comment, and the policy.
POLICIES: dict[str, Any] = {
    name: yaml.safe_load(text)
    for name, text in re.findall(r"```yaml\n# ([\w-]+)\.yaml.*?\n(.*?)```", PAGE, re.DOTALL)
}
TOLD: list[Json] = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
WIDGETS = 20


def test_the_page_has_a_policy_for_each_step() -> None:
    steps = ["1-write-both", "2-compare", "2b-compare-again", "3-move-reads", "4-stop-the-old"]
    assert list(POLICIES) == steps


def patched(policy: Json, patch: Json) -> Json:
    """A policy with what a patch says of its routes."""
    changes = {route["name"]: route for route in patch["routes"]}
    routes = [{**route, **changes.get(route["name"], {})} for route in policy["routes"]]
    return {**policy, "routes": routes}


@dataclass
class Move:
    """A proxy with both stores behind it, and a caller."""

    envoy: EcdsEnvoy
    old: Store
    new: Store
    client: Client

    def apply(self, policy: Json) -> None:
        self.envoy.apply(policy)
        assert "policy refused" not in self.envoy.log

    def ask(self, path: str, method: str = "GET", widget: Json | None = None) -> Answer:
        headers = {"x-user-id": f"user-{random.randrange(1000)}"}
        body = None
        if widget is not None:
            headers["content-type"] = "application/json"
            body = json.dumps(widget).encode()
        target = f"/get_widgets{path}"
        return self.client.ask(target, method=method, headers=headers, body=body, explain=False)

    def write(self) -> None:
        """Widgets come, change and go; none that a caller brings twice."""
        for number in range(WIDGETS):
            widget = {"name": f"w {number}", "price": number + 0.45, "tags": ["new", "blue"]}
            key = f"w{number:03}"
            assert self.ask("", "POST", {"id": key, **widget}).status == 201
            self.agree()
            assert self.ask(f"/{key}", "PUT", {**widget, "price": number + 0.35}).status == 200
            self.agree()
        assert self.ask("/w000", "DELETE").status == 204
        self.agree()

    def agree(self) -> None:
        """Waits until both stores hold the same: copies are on their way for a moment."""
        becomes(self.new.widgets, self.old.widgets(), "both stores hold the same")

    def read(self) -> set[str]:
        """Reads a list and some widgets; which stores answered."""
        some = [f"/w{random.randrange(1, WIDGETS):03}" for _ in range(9)]
        answers = [self.ask(path).response for path in ["", *some]]
        assert {answer.status_code for answer in answers} == {200}
        return {answer.headers["x-store"] for answer in answers}

    def compared(self, route: str) -> Json:
        return State(self.envoy).route(route)["shadow"]["compared"]

    def read_until(self, verdict: str, differing: int) -> Json:
        """Reads until the state document has this verdict and so many paths; what it says then."""

        def said() -> bool:
            assert self.read() == {"old"}
            told = self.compared("reads")
            return (told["verdict"], len(told["paths"])) == (verdict, differing)

        eventually(said, f"the verdict is {verdict}", 60)
        compared = self.compared("reads")
        return {name: compared[name] for name in ("verdict", "evidence", "paths")}


@pytest.fixture
def move(envoy_version: str, tmp_path: Path, http2: bool) -> Iterator[Move]:
    with ExitStack() as stack:
        old = stack.enter_context(Store("old", tmp_path / "old.db"))
        new = stack.enter_context(Store("rounding", tmp_path / "new.db"))
        upstreams = Upstreams(old.port, new.port)
        envoy = EcdsEnvoy(envoy_version, tmp_path, upstreams, POLICIES["1-write-both"])
        stack.enter_context(envoy)
        client = stack.enter_context(Client(envoy.port, http2))
        yield Move(envoy, old, new, client)
        envoy.check_unhurt()


def without_counts(told: Json) -> Json:
    """What is the same in each run."""
    paths = sorted((path["path"], path["kind"]) for path in told["paths"])
    return {"verdict": told["verdict"], "paths": paths}


def test_a_store_is_moved_by_the_recipe(move: Move) -> None:
    assert "policy refused" not in move.envoy.log
    move.write()
    writes = 2 * WIDGETS + 1
    becomes(lambda: move.compared("writes")["raw"]["equal"], writes, "all answers are compared")
    assert not any(State(move.envoy).route("writes")["shadow"]["skipped"].values())
    assert len(move.new.widgets()) == WIDGETS - 1

    compare = POLICIES["2-compare"]
    move.apply(compare)
    failed = move.read_until("fail", differing=2)
    print(json.dumps(failed, indent=2))
    move.new.stop()
    move.new = Store("new", move.new.file, move.new.port)
    with move.new:
        compare = patched(compare, POLICIES["2b-compare-again"])
        move.apply(compare)
        passed = move.read_until("pass", differing=0)
        print(json.dumps(passed, indent=2))
        # The page shows what a run of this test printed.
        for shown, told in zip(TOLD, [failed, passed], strict=True):
            assert without_counts(shown) == without_counts(told)

        move.apply(POLICIES["3-move-reads"])
        stores: set[str] = set()
        for _ in range(5):
            stores |= move.read()
        assert stores == {"old", "new"}
        move.write()
        assert move.compared("reads")["verdict"] == "pass"

        move.apply(POLICIES["4-stop-the-old"])
        move.old.stop()
        assert move.read() == {"new"}
        assert move.ask("/w000", "PUT", {"name": "last", "price": 1.25, "tags": []}).status == 200
        assert len(move.new.widgets()) == WIDGETS
