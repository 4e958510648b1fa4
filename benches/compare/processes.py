"""The processes of a run: Envoy, upstreams, load. Only those started here are stopped."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from .configurations import ROOT, Config, Configuration, Upstreams, bootstrap

LOAD = ROOT / "target/release/serinus-load"
START_SECONDS = 60.0


def envoy_version() -> str:
    """The newest of the versions that the tests run on."""
    return (ROOT / "tests/e2e/envoy-versions.txt").read_text().split()[0]


def pinned(processor: int | None) -> list[str]:
    return [] if processor is None else ["taskset", "--cpu-list", str(processor)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def stopped_at_the_end(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def upstreams(folder: Path, processor: int | None) -> Iterator[Upstreams]:
    """Stable, canary, the shadow's and one that takes 5 s."""
    named = {"stable": ("v1", 0), "canary": ("v2", 0), "shadow": ("v2", 0), "hung": ("v2", 5_000)}
    with ExitStack() as stack:
        ports = {}
        for place, (name, delay) in named.items():
            port = ports[place] = free_port()
            command = [str(LOAD), "serve", "--port", str(port), "--name", name]
            command += ["--delay-ms", str(delay)]
            log = folder / "upstreams.log"
            stack.enter_context(stopped_at_the_end([*pinned(processor), *command], log))
        for port in ports.values():
            wait_for_port(port)
        yield Upstreams(**ports)


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


class Envoy:
    """A running Envoy with a listener for each configuration."""

    def __init__(self, pid: int, admin: str, started: float):
        self.pid = pid
        self._admin = admin
        # Seconds from its start until it was ready.
        self.started = started
        self.ports: dict[str, int] = {}

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://{self._admin}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def find_ports(self) -> None:
        for known in json.loads(self.get("/listeners?format=json"))["listener_statuses"]:
            port = known["local_address"]["socket_address"]["port_value"]
            self.ports[known["name"]] = port

    def stats(self, pattern: str) -> dict[str, int]:
        lines = (
            line.rpartition(": ") for line in self.get(f"/stats?filter={pattern}").splitlines()
        )
        return {name: int(value) for name, _, value in lines if value.isdigit()}

    def memory(self) -> int:
        """Bytes in memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        kilobytes = status.partition("VmRSS:")[2].split()[0]
        return int(kilobytes) * 1024

    def spent(self) -> dict[str, int]:
        """Nanoseconds of processor time, by the threads' names."""
        spent: dict[str, int] = {}
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            try:
                name = (task / "comm").read_text().strip()
                nanos = int((task / "schedstat").read_text().split()[0])
            except OSError:
                continue
            spent[name] = spent.get(name, 0) + nanos
        return spent


@contextmanager
def envoy(
    configurations: list[Configuration],
    ups: Upstreams,
    folder: Path,
    concurrency: int,
    processor: int | None = None,
    edit: Any = None,
) -> Iterator[Envoy]:
    """An Envoy that is ready."""
    config: Config = bootstrap(configurations, ups)
    if edit:
        edit(config)
    (folder / "envoy.json").write_text(json.dumps(config))
    admin_address = folder / "admin-address"
    admin_address.unlink(missing_ok=True)
    program = ROOT / "target/envoy" / envoy_version() / "envoy"
    command = [
        str(program),
        *("--config-path", str(folder / "envoy.json")),
        *("--concurrency", str(concurrency)),
        "--use-dynamic-base-id",
        *("--admin-address-path", str(admin_address)),
        *("--log-level", "warning"),
    ]
    began = time.monotonic()
    log = folder / "envoy.log"
    with stopped_at_the_end([*pinned(processor), *command], log) as process:
        while True:
            if process.poll() is not None or time.monotonic() - began > START_SECONDS:
                raise SystemExit(f"Envoy did not start:\n{log.read_text()[-4000:]}")
            try:
                running = Envoy(process.pid, admin_address.read_text(), time.monotonic() - began)
                if running.get("/ready").strip() == "LIVE":
                    break
            except OSError:
                pass
            time.sleep(0.002)
        running.started = time.monotonic() - began
        running.find_ports()
        yield running


def drive(
    port: int,
    requests: int,
    pid: int = 0,
    *,
    connections: int = 16,
    rate: float | None = None,
    seed: int = 1,
    processor: int | None = None,
) -> dict[str, Any]:
    """Sends requests; what came of them."""
    command = [str(LOAD), "drive", "--port", str(port), "--pid", str(pid), "--seed", str(seed)]
    command += ["--requests", str(requests), "--connections", str(connections)]
    if rate:
        command += ["--rate", str(rate)]
    done = subprocess.run([*pinned(processor), *command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the load failed: {done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def processors() -> tuple[int, int] | None:
    """Two processors to pin to: Envoy's, and everybody else's."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else None
