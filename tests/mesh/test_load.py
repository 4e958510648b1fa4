"""Changes of routing and of the plugin while many callers ask: nobody's request is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from serinus_e2e.envoy import eventually
from serinus_e2e.load import Load
from serinus_mesh import cluster, registry
from serinus_mesh.mesh import CHANGE_SECONDS, Mesh, set_share

USERS = [f"user-{number}" for number in range(40)]
# What a caller sees of a change of the VirtualService.
MARK = "x-mark"
ROUNDS = 12


def load() -> Load:
    """Keeps of each answer its version and the mark that the VirtualService put on it."""
    return Load(
        cluster.GATEWAY_PORT,
        False,
        USERS,
        lambda client, user: client.ask(headers={"x-user-id": user}, explain=False),
        keep=lambda answer: (answer.version, answer.response.headers.get(MARK)),
    )


def change_routes(mesh: Mesh, number: int) -> None:
    routes = mesh.resource("VirtualService", "shop", "shop")
    for route in routes["spec"]["http"]:
        route["headers"] = {"response": {"set": {MARK: str(number)}}}
    mesh.kube.apply(routes)


def change_share(mesh: Mesh, number: int) -> None:
    mesh.kube.apply(set_share(mesh.plugin(), "60%" if number % 2 else "20%"))


def break_and_mend(mesh: Mesh, number: int) -> None:
    mesh.kube.apply(set_share(mesh.plugin(), "250%" if number % 2 else "20%"))


def upgrade_and_roll_back(mesh: Mesh, number: int) -> None:
    plugin = mesh.plugin()
    if number % 2:
        plugin["spec"]["url"] = f"oci://{registry.HOST}/serinus/upgrade:1"
    mesh.kube.apply(plugin)


def take_out_and_put_back(mesh: Mesh, number: int) -> None:
    if number % 2:
        mesh.kube.delete(mesh.plugin())
    else:
        mesh.kube.apply(mesh.plugin())


CHANGES: dict[str, Callable[[Mesh, int], None]] = {
    "VirtualService changes": change_routes,
    "shares go up and down": change_share,
    "bad policies come and go": break_and_mend,
    "upgrades and roll-backs": upgrade_and_roll_back,
    "the plugin goes and comes": take_out_and_put_back,
}


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("name", CHANGES)
def test_changes_under_load_lose_nothing(mesh: Mesh, name: str, tmp_path: Path, proved) -> None:
    registry.build(tmp_path / "image", registry.other_module(tmp_path))
    registry.push(tmp_path / "image", "serinus/upgrade:1")
    began = time.monotonic()
    with load() as running:
        for number in range(ROUNDS):
            CHANGES[name](mesh, number)
            time.sleep(0.3)
        if name == "VirtualService changes":
            wait_for_mark(running, str(ROUNDS - 1))
        running.another_round()
    assert running.failures == []
    seconds = time.monotonic() - began
    proved(f"{ROUNDS} changes under load: {name}: {running.requests} requests, 0 lost", seconds)


def wait_for_mark(running: Load, mark: str) -> None:
    def seen() -> bool:
        return any(answers and answers[-1][1] == mark for answers in running.answers.values())

    eventually(seen, "the last change is in force", CHANGE_SECONDS)
