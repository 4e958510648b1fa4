"""Fixtures: one mesh for all tests, what they start beside it, and the table of what was proved."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serinus_e2e import paths
from serinus_e2e.client import Client
from serinus_mesh import places
from serinus_mesh.mesh import Mesh

PROVED: list[tuple[str, float | None]] = []
Proved = Callable[..., None]


def pytest_sessionstart() -> None:
    """Nothing is skipped for want of a part: the run fails, in one line."""
    try:
        paths.wasm()
        places.envoy()
        places.program("crane")
    except paths.Missing as missing:
        pytest.exit(f"serinus: {missing}", returncode=1)


def need_mesh() -> None:
    """The parts that only some of the tests need."""
    try:
        for name in places.PROGRAMS:
            places.program(name)
        for name in [*places.CRDS, places.BOOTSTRAP]:
            places.share(name)
    except paths.Missing as missing:
        pytest.exit(f"serinus: {missing}", returncode=1)
    if not shutil.which("openssl"):
        pytest.exit("serinus: openssl is missing: install it", returncode=1)


@pytest.fixture(scope="session")
def proved() -> Proved:
    """Puts a line into the table: what was seen on the real parts, and how long it took."""

    def add(what: str, seconds: float | None = None) -> None:
        PROVED.append((what, seconds))

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not PROVED:
        return
    terminalreporter.section("proved on the real parts")
    for what, seconds in PROVED:
        time = "" if seconds is None else f"{seconds:8.2f} s"
        terminalreporter.write_line(f"{time:>10}  {what}")


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory, proved: Proved) -> Iterator[Mesh]:
    need_mesh()
    folder: Path = tmp_path_factory.mktemp("mesh") / "stack"
    with Mesh(folder) as mesh:
        for name, seconds in mesh.times.items():
            proved(f"start: {name}", seconds)
        yield mesh


@pytest.fixture
def restored(mesh: Mesh) -> Iterator[None]:
    """Whatever the test changes, the installation is back after it."""
    yield
    mesh.restore()


@pytest.fixture
def gateway(mesh: Mesh) -> Iterator[Client]:
    """A client of the gateway, on the machine that the shipped policy answers questions of."""
    with mesh.client() as client:
        yield client
