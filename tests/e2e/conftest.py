"""Fixtures: both Envoys, both protocols, the two shops, and one proxy a test module.

A module says what its proxy runs in `POLICY`, and may change Envoy's own settings by a function
`edit`. The policy reaches the filter by ECDS, as a user of envoy-config/ecds.yaml would change it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serinus_e2e import paths
from serinus_e2e.broken import BrokenShop
from serinus_e2e.client import Client
from serinus_e2e.config import Upstreams
from serinus_e2e.envoy import EcdsEnvoy
from serinus_e2e.ports import refusing
from serinus_e2e.shop import Shop


def pytest_sessionstart() -> None:
    """Nothing is skipped for want of a program or the filter: the run fails, in one line."""
    try:
        paths.wasm()
        paths.prometheus()
        for version in paths.VERSIONS:
            paths.envoy(version)
    except paths.Missing as missing:
        pytest.exit(f"serinus: {missing}", returncode=1)


@pytest.fixture(scope="session", params=paths.VERSIONS, ids=lambda version: f"envoy-{version}")
def envoy_version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def upstreams() -> Iterator[Upstreams]:
    with Shop.start("v1") as v1, Shop.start("v2") as v2:
        yield Upstreams(v1.port, v2.port)


@pytest.fixture(scope="session")
def broken() -> Iterator[dict[str, int]]:
    """Ports of a shop that misbehaves, by protocol, and one that refuses connections."""
    with BrokenShop() as shop, refusing() as port:
        yield shop.ports | {"refusing": port}


@pytest.fixture(scope="module")
def proxy(
    envoy_version: str,
    upstreams: Upstreams,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[EcdsEnvoy]:
    """An Envoy with the module's POLICY."""
    folder = tmp_path_factory.mktemp("envoy")
    policy, edit = request.module.POLICY, getattr(request.module, "edit", None)
    with EcdsEnvoy(envoy_version, folder, upstreams, policy, edit) as envoy:
        yield envoy
        envoy.check_unhurt()


@pytest.fixture(params=["http1", "http2"])
def http2(request: pytest.FixtureRequest) -> bool:
    return request.param == "http2"


@pytest.fixture
def client(proxy: EcdsEnvoy, http2: bool) -> Iterator[Client]:
    """A client of the module's proxy, from the loopback address that policies here trust."""
    with Client(proxy.port, http2) as client:
        yield client


@pytest.fixture
def stranger(proxy: EcdsEnvoy, http2: bool) -> Iterator[Client]:
    """A client from an address that no policy here lets ask for reasons."""
    with Client(proxy.port, http2, source="127.9.9.9") as client:
        yield client


StartEnvoy = Callable[..., EcdsEnvoy]


@pytest.fixture
def start(envoy_version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartEnvoy]:
    """Starts further proxies, which end with the test: `start(policy, upstreams, edit=None)`."""
    running: list[EcdsEnvoy] = []

    def start_one(policy: object, upstreams: Upstreams, edit: object = None) -> EcdsEnvoy:
        folder: Path = tmp_path_factory.mktemp("envoy")
        envoy = EcdsEnvoy(envoy_version, folder, upstreams, policy, edit)  # type: ignore[arg-type]
        running.append(envoy)
        return envoy.start()

    yield start_one
    try:
        for envoy in running:
            envoy.check_unhurt()
    finally:
        for envoy in running:
            envoy.stop()
