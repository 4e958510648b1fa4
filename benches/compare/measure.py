"""The measurements: rounds of short runs in alternating order, and what is measured of one process
alone."""

from __future__ import annotations

import json
import os
import random
import statistics
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from .configurations import Config, Configuration, Upstreams, all_of_them, hung
from .processes import Envoy, drive, envoy, processors

# Requests of a run that are measured: with 20 rounds, 100,000 of each configuration.
RUN = 5_000
# The rounds are spread over so many Envoys. Where a process happens to have a listener's memory and
# code makes several per cent of a request, the same in all rounds of that process.
PROCESSES = 5
IDLE_SECONDS = 4.0


@dataclass
class Series:
    """What was measured of one configuration, a value for each round."""

    # Processor time of the workers, and of the whole process, in µs a request.
    workers: list[float] = field(default_factory=list)
    process: list[float] = field(default_factory=list)
    throughput: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    requests: int = 0
    failures: int = 0
    canary: int = 0

    def took(self, result: dict[str, Any]) -> None:
        self.requests += result["requests"]
        self.failures += result["failures"]
        self.canary += result["canary"]

    def spent(self, result: dict[str, Any], foreign: float) -> None:
        """A run in a closed loop. The ticks of all configurations' VMs go on meanwhile: what others
        spend on theirs (`foreign`, in ns a second) is taken off."""
        self.took(result)
        spent, off = result["spent_ns"], foreign * result["seconds"]
        self.workers.append((of_workers(spent) - off) / result["requests"] / 1e3)
        self.process.append((sum(spent.values()) - off) / result["requests"] / 1e3)
        self.throughput.append(result["requests"] / result["seconds"])


@dataclass
class Alone:
    """What was measured of a configuration in a process of its own."""

    start_seconds: float
    memory_ready: int
    memory_after: int
    # Processor time of all threads in a second without a request, in ms.
    idle: float


def of_workers(spent: dict[str, int]) -> int:
    return sum(nanos for name, nanos in spent.items() if name.startswith("wrk:"))


def idle(process: Envoy, seconds: float = IDLE_SECONDS) -> tuple[float, float]:
    """Nanoseconds of the workers, and of all threads, in a second without a request."""
    before, began = process.spent(), time.monotonic()
    time.sleep(seconds)
    after, took = process.spent(), time.monotonic() - began
    workers = (of_workers(after) - of_workers(before)) / took
    return workers, (sum(after.values()) - sum(before.values())) / took


def alone(configuration: Configuration, ups: Upstreams, folder: Path, warm: int) -> Alone:
    """Starts a process for one configuration, lets it rest, and lets it work."""
    with envoy([configuration], ups, folder, 2) as process:
        memory_ready = process.memory()
        # What happens once after the start has happened.
        time.sleep(2)
        resting = idle(process)[1] / 1e6
        drive(process.ports[configuration.key], warm)
        return Alone(process.started, memory_ready, process.memory(), resting)


@dataclass
class Comparison:
    """Configurations that are measured in turns, in one process after another."""

    concurrency: int
    count: int
    # Where the load runs; anywhere if there is none.
    pin: int | None
    compared: list[Configuration] = field(default_factory=all_of_them)
    order: random.Random = field(default_factory=lambda: random.Random(7))
    series: dict[str, Series] = field(init=False)

    def __post_init__(self) -> None:
        self.series = {one.key: Series() for one in self.compared}

    def round(self) -> list[Configuration]:
        return self.order.sample(self.compared, len(self.compared))

    def closed_loop(self, process: Envoy, numbers: range, own_idle: dict[str, float]) -> None:
        """Processor time and throughput."""
        background = idle(process)[0]
        for number in numbers:
            for one in self.round():
                port, seed = process.ports[one.key], number + 1
                result = drive(port, RUN, process.pid, seed=seed, processor=self.pin)
                # Ticks of other configurations' VMs, in nanoseconds a second.
                foreign = background - own_idle[one.key] * 1e6
                self.series[one.key].spent(result, foreign)
            done = f"round {number + 1} of {self.count}"
            print(f"  concurrency {self.concurrency}: {done}", flush=True)

    def open_loop(self, process: Envoy) -> None:
        """Latencies, at half of what the slowest can do."""
        slowest = min(statistics.median(one.throughput) for one in self.series.values())
        rate = round(slowest / 2, -2)
        for number in range(max(self.count // 2, 2)):
            for one in self.round():
                at_a_rate(self.series[one.key], process.ports[one.key], rate, number, self.pin)


def rounds(
    ups: Upstreams,
    folder: Path,
    concurrency: int,
    count: int,
    warm: int,
    own_idle: dict[str, float],
) -> dict[str, Series]:
    """Processor time and throughput in a closed loop, then latencies at a fixed rate."""
    pins = processors() if concurrency == 1 else None
    here, there = pins if pins else (None, None)
    comparison = Comparison(concurrency, count, there)
    processes = min(PROCESSES, count)
    for part in range(processes):
        comparison.order.shuffle(comparison.compared)
        with envoy(comparison.compared, ups, folder, concurrency, here) as process:
            for one in comparison.compared:
                drive(process.ports[one.key], warm, processor=there)
            comparison.closed_loop(process, range(part, count, processes), own_idle)
            if part == processes - 1:
                comparison.open_loop(process)
            check_unhurt(process)
    return comparison.series


def at_a_rate(series: Series, port: int, rate: float, number: int, pin: int | None = None) -> None:
    """Latencies of a run whose requests come at a fixed rate."""
    result = drive(port, RUN, rate=rate, connections=64, seed=number + 1, processor=pin)
    series.took(result)
    series.p50.append(result["p50_ns"] / 1e3)
    series.p99.append(result["p99_ns"] / 1e3)


def check_unhurt(process: Envoy) -> None:
    """No filter trapped."""
    reloads = sum(process.stats("vm_reload_success").values())
    if reloads:
        raise SystemExit(f"a filter trapped {reloads} times")


def hang(ups: Upstreams, folder: Path, count: int, rate: float) -> dict[str, Any]:
    """Latencies while all requests are copied to an upstream that takes 5 s, and memory."""
    compared = hung()
    series = {one.key: Series() for one in compared}
    memory = []
    with envoy(compared, ups, folder, 2) as process:
        for one in compared:
            drive(process.ports[one.key], 2 * RUN)
        for number in range(count):
            for one in compared:
                at_a_rate(series[one.key], process.ports[one.key], rate, number)
            memory.append(process.memory())
        check_unhurt(process)
    return {"series": series, "titles": {one.key: one.title for one in compared}, "memory": memory}


def effect(configuration: Configuration, ups: Upstreams, folder: Path, count: int) -> list[float]:
    """Milliseconds from a policy's rename into place until a caller gets the other variant."""
    assert configuration.policy
    filter_file = folder / "filter.json"
    name = configuration.filters[0]["name"]

    def write(share: str) -> None:
        policy = json.loads(json.dumps(configuration.policy))
        policy["routes"][-1]["variants"][0]["share"] = share
        typed = json.loads(json.dumps(configuration.filters[0]["typed_config"]))
        typed["config"]["configuration"]["value"] = json.dumps(policy)
        resource = {
            "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            "name": name,
            "typed_config": typed,
        }
        beside = filter_file.with_suffix(".part")
        beside.write_text(json.dumps({"resources": [resource]}))
        os.replace(beside, filter_file)

    def discovered(config: Config) -> None:
        manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
        source = {"resource_api_version": "V3", "path_config_source": {"path": str(filter_file)}}
        urls = [configuration.filters[0]["typed_config"]["@type"]]
        manager["typed_config"]["http_filters"][0] = {
            "name": name,
            "config_discovery": {"config_source": source, "type_urls": urls},
        }

    write("0%")
    times = []
    with envoy([configuration], ups, folder, 2, edit=discovered) as process:
        caller = HTTPConnection("127.0.0.1", process.ports[configuration.key], timeout=10)

        def version() -> str | None:
            caller.request("GET", "/checkout", headers={"x-user-id": "u-17"})
            answer = caller.getresponse()
            answer.read()
            return answer.getheader("x-version")

        for number in range(count):
            share, wanted = ("100%", "v2") if number % 2 == 0 else ("0%", "v1")
            began = time.monotonic()
            write(share)
            while version() != wanted:
                if time.monotonic() - began > 30:
                    raise SystemExit("the policy took no effect")
            times.append((time.monotonic() - began) * 1e3)
    return times
