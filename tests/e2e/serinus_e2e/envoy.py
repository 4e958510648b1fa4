"""One Envoy process: started on free ports, waited for, and stopped."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx

from . import paths
from .child import end
from .config import Config, PolicyFile, Upstreams, render

# Envoy is ready in about 0.3 s; a machine that compiles beside it may need far longer.
START_SECONDS = 30.0

_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

T = TypeVar("T")


def eventually(probe: Callable[[], T], what: str, seconds: float = 10.0) -> T:
    """The first true value of `probe`; an AssertionError if there is none in that time."""
    deadline = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s; last seen: {value!r}")
        time.sleep(0.01)


def becomes(probe: Callable[[], T], wanted: T, what: str, seconds: float = 10.0) -> None:
    """Waits until `probe` gives what is wanted; an AssertionError tells what it gave instead."""
    deadline = time.monotonic() + seconds
    while (seen := probe()) != wanted:
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s: {seen!r} and not {wanted!r}")
        time.sleep(0.05)


class Envoy:
    """A running Envoy. Use it as a context manager."""

    def __init__(self, version: str, folder: Path, config: Config):
        self._folder = folder
        self._program = paths.envoy(version)
        (folder / "envoy.json").write_text(json.dumps(config))
        self._admin: httpx.Client | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def log(self) -> str:
        """What Envoy, and the filter through it, wrote so far."""
        return (self._folder / "envoy.log").read_text(errors="replace")

    @property
    def admin_address(self) -> str:
        """Where Envoy's statistics are, as address:port."""
        return (self._folder / "admin-address").read_text()

    @property
    def resident_bytes(self) -> int:
        """The memory that it has taken up."""
        assert self._process
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))

    def logged(self, part: str) -> str:
        """The line of the access log that has `part`; it is written after the answer is sent."""

        def line() -> str:
            lines = (self._folder / "access.log").read_text().splitlines()
            return next((line for line in lines if part in line), "")

        return eventually(line, f"the access log has {part}")

    def start(self) -> Envoy:
        admin_address = self._folder / "admin-address"
        with open(self._folder / "envoy.log", "wb") as log:
            self._process = subprocess.Popen(
                [
                    self._program,
                    *("--config-path", self._folder / "envoy.json"),
                    *("--concurrency", "2"),
                    "--use-dynamic-base-id",
                    *("--admin-address-path", admin_address),
                    *("--file-flush-interval-msec", "20"),
                    *("--log-level", "warning"),
                    *("--component-log-level", "wasm:info"),
                ],
                stdout=log,
                stderr=log,
            )
        try:
            self._wait(lambda: admin_address.is_file() and admin_address.read_text())
            self._admin = httpx.Client(base_url=f"http://{admin_address.read_text()}", timeout=10)
            self._wait(self._is_ready)
            self.port = self.listener_port("shop")
        except BaseException:
            self.stop()
            raise
        return self

    def _is_ready(self) -> bool:
        assert self._admin
        try:
            return self._admin.get("/ready").status_code == 200
        except httpx.TransportError:
            return False

    def _wait(self, probe: Callable[[], object]) -> None:
        def probe_while_running() -> object:
            assert self._process
            if self._process.poll() is not None:
                raise AssertionError("Envoy ended at its start")
            return probe()

        try:
            eventually(probe_while_running, "Envoy is ready", START_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log[-4000:]}") from None

    def stop(self) -> None:
        if self._admin:
            self._admin.close()
        if not self._process:
            return
        end(self._process)
        self._process = None

    def __enter__(self) -> Envoy:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def check_unhurt(self) -> None:
        """Envoy still runs, and the filter never trapped."""
        assert self._process and self._process.poll() is None, f"Envoy ended:\n{self.log[-4000:]}"
        reloads = self.stat(r"wasm\.serinus\.vm_reload_success")
        assert reloads == 0, f"the filter trapped {reloads} times:\n{self.log[-4000:]}"
        assert "panicked at" not in self.log, self.log[-4000:]

    def admin(self, path: str) -> str:
        assert self._admin
        return self._admin.get(path).raise_for_status().text

    def listener_port(self, name: str) -> int:
        """The port that a listener of port 0 was given."""
        for listener in json.loads(self.admin("/listeners?format=json"))["listener_statuses"]:
            if listener["name"] == name:
                return int(listener["local_address"]["socket_address"]["port_value"])
        raise AssertionError(f"Envoy has no listener {name}")

    def stat(self, name: str) -> int:
        """A counter or gauge by its full name; 0 while Envoy does not know it."""
        for line in self.admin(f"/stats?filter=^{name}$").splitlines():
            return int(line.rpartition(": ")[2])
        return 0

    def metrics(self) -> dict[str, float]:
        """The filter's metrics as Prometheus reads them: `name{labels}` to value."""
        lines = self.admin("/stats/prometheus").splitlines()
        series = (line.rpartition(" ") for line in lines if line.startswith("serinus_"))
        return {name: float(value) for name, _, value in series}

    def counts(self, name: str, by: str, **labels: str) -> dict[str, float]:
        """The samples of a metric with these labels that are not 0, summed by the label `by`."""
        found: dict[str, float] = {}
        for series, value in self.metrics().items():
            metric, _, text = series.partition("{")
            has = dict(_LABEL.findall(text))
            if value and metric == name and labels.items() <= has.items():
                found[has.get(by, "")] = found.get(has.get(by, ""), 0) + value
        return found

    def settle(self) -> None:
        """Waits until every request that Envoy has ended is counted: what is counted from here on
        is of later ones. For a proxy whose requests all have a route of the policy."""

        def missing() -> float:
            ended = self.stat("http.shop.downstream_rq_total")
            ended -= self.stat("http.shop.downstream_rq_active")
            counted = self.counts("serinus_requests_total", "outcome")
            return ended - sum(counted.values())

        becomes(missing, 0, "requests that are not counted yet")

    def decisions(self, **labels: str) -> float:
        """How many decisions with these labels were counted; a worker adds its own each second."""
        return sum(self.counts("serinus_decisions_total", "reason", **labels).values())


class EcdsEnvoy(Envoy):
    """An Envoy of ecds.yaml, whose policy can be changed while it runs."""

    # Envoy counts one here for each policy that it put in place on all its threads.
    _APPLIED = "extension_config_discovery.http_filter.serinus.config_reload"

    def __init__(
        self,
        version: str,
        folder: Path,
        upstreams: Upstreams,
        policy: object = None,
        edit: Callable[[Config], None] | None = None,
    ):
        super().__init__(version, folder, render("ecds.yaml", folder, upstreams, edit))
        self.policy_file = PolicyFile(folder, upstreams)
        self.policy_file.write(self.policy_file.policy if policy is None else policy)

    def apply(self, policy: object) -> None:
        """Changes the policy and returns once every worker has it."""
        before = self.stat(self._APPLIED)
        self.policy_file.write(policy)
        eventually(lambda: self.stat(self._APPLIED) > before, "Envoy applies the new policy")
