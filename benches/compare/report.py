"""benches/RESULTS.md: what was measured, and what of it was to be reached."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .configurations import EMPTY, ROOT, SERINUS, all_of_them
from .measure import RUN, Alone, Series
from .processes import envoy_version

MIB = 1 << 20


@dataclass(frozen=True)
class Goal:
    """A ratio of processor time that must be kept, and one that is aimed at."""

    what: str
    of: str
    to: str
    must: float
    aim: float


GOALS = [
    Goal("assignment to an empty filter", "g", "f", 1.10, 1.05),
    Goal("health and gate to an empty filter", "i", "f", 1.20, 1.10),
    Goal("assignment to native sticky", "g", "c", 1.25, 1.15),
    Goal("health and gate to native sticky", "i", "c", 1.35, 1.22),
    Goal("assignment to Lua", "g", "e", 1.10, 1.00),
    Goal("500 routes to one", "k", "i", 1.05, 1.02),
]


@dataclass(frozen=True)
class Ratio:
    """Of one configuration to another, round by round."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.2f} to {self.high:.2f})"


def ratio(of: list[float], to: list[float]) -> Ratio:
    """The median of the rounds' ratios, and their quartiles."""
    ratios = sorted(one / other for one, other in zip(of, to, strict=True))
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(statistics.median(ratios), low, high)


def judged(goal: Goal, measured: float) -> str:
    if measured <= goal.aim:
        return "aim reached"
    return "reached" if measured <= goal.must else "**not reached**"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def med(values: list[float], digits: int = 1) -> str:
    return f"{statistics.median(values):.{digits}f}" if values else ""


def goals(series: dict[str, Series]) -> str:
    rows = []
    for goal in GOALS:
        of, to = series[goal.of], series[goal.to]
        workers, process = ratio(of.workers, to.workers), ratio(of.process, to.process)
        verdict = judged(goal, workers.median)
        bounds = [f"{goal.must:.2f}", f"{goal.aim:.2f}"]
        name = f"{goal.what} ({goal.of}/{goal.to})"
        rows.append([name, *bounds, str(workers), f"{process.median:.3f}", verdict])
    head = ["ratio", "must", "aim", "measured (quartiles)", "whole process", ""]
    return table(head, rows)


def figures(series: dict[str, Series]) -> str:
    rows = []
    for one in all_of_them():
        took = series[one.key]
        lowest = statistics.quantiles(took.workers, n=4, method="inclusive")[0]
        rows.append(
            [
                f"{one.key}: {one.title}",
                med(took.workers),
                f"{lowest:.1f}",
                med(took.process),
                f"{ratio(took.workers, series['c'].workers).median:.3f}",
                f"{ratio(took.workers, series['f'].workers).median:.3f}",
                med(took.throughput, 0),
                med(took.p50, 0),
                med(took.p99, 0),
                f"{100 * took.canary / took.requests:.1f}",
                str(took.failures),
            ]
        )
    head = ["configuration", "µs/request", "lower quartile", "whole process", "to c", "to f"]
    head += ["requests/s", "p50 µs", "p99 µs", "canary %", "failed"]
    return table(head, rows)


def alone_table(alone: dict[str, Alone]) -> str:
    rows = []
    for one in all_of_them():
        took = alone[one.key]
        rows.append(
            [
                f"{one.key}: {one.title}",
                f"{took.start_seconds:.2f}",
                f"{took.memory_ready / MIB:.0f}",
                f"{took.memory_after / MIB:.0f}",
                f"{took.idle:.1f}",
            ]
        )
    head = ["configuration", "start s", "MiB when ready", "MiB after load", "idle ms/s"]
    return table(head, rows)


def hung_table(scene: dict[str, Any]) -> str:
    series = scene["series"]
    rows = []
    for key, title in scene["titles"].items():
        took = series[key]
        times = str(ratio(took.p99, series["i"].p99))
        rows.append([title, med(took.p50, 0), med(took.p99, 0), times, str(took.failures)])
    memory = [f"{one / MIB:.0f}" for one in scene["memory"]]
    text = table(["shadow", "p50 µs", "p99 µs", "p99 to no shadow", "failed"], rows)
    return f"{text}\nMiB in memory after each round: {', '.join(memory)}.\n"


def command(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else "unknown"


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def about(rounds: int, warm: int, load: tuple[float, float]) -> str:
    processors = len(os.sched_getaffinity(0))
    dirty = " with changes" if command("git", "status", "--porcelain") != "unknown" else ""
    return table(
        ["", ""],
        [
            ["date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")],
            [
                "machine",
                f"{processor()}, {processors} processors, Linux {platform.release()}",
            ],
            ["load average of the machine", f"{load[0]:.1f} before, {load[1]:.1f} after"],
            ["Envoy", envoy_version()],
            ["Rust", command("rustc", "--version")],
            ["commit", command("git", "rev-parse", "--short", "HEAD") + dirty],
            ["Serinus", f"{SERINUS.stat().st_size / 1e3:.0f} kB"],
            ["empty filter", f"{EMPTY.stat().st_size / 1e3:.0f} kB, proxy-wasm SDK 0.2.5"],
            ["rounds", f"{rounds} of {RUN} requests each, after {warm} requests of warm-up"],
        ],
    )


METHOD = """\
One Envoy process, a listener for each configuration, one upstream program and one load program, all
on loopback. Rounds of short runs in random order: each round measures every configuration once, and
a ratio is the median of the rounds' ratios, so that what disturbs the machine for longer than a
round disturbs both sides. The rounds are spread over several such processes, whose listeners are in
random order: where a process has a listener's memory makes several per cent. Processor time is that
of Envoy's worker threads by the scheduler's own count (`/proc/PID/task/*/schedstat`), in
nanoseconds; "whole process" adds Envoy's other threads. The ticks of the other configurations' VMs
are taken off and the configuration's own put back (idle, below). 10,000 callers, 9 header lines,
answers of 100 bytes, no access log; 5 % of the callers get the canary. Latencies are at a fixed
rate of half of the slowest configuration's throughput, counted from when a request was due.
"""


def write(path: Path, results: dict[str, Any]) -> None:
    """Writes the page."""
    settings = results["settings"]
    parts = ["# What Serinus costs, measured side by side\n"]
    if settings["shortened"]:
        parts.append("> A shortened run: fewer rounds or requests than the method asks for.\n")
    parts.append(
        "Made by `make bench`; [the page on costs](../docs/cost.md) explains the figures.\n"
    )
    parts.append(about(settings["rounds"], settings["warm"], settings["load"]))
    parts.append("![Processor time of a request](cost.svg)\n")
    parts.append("## How\n")
    parts.append(METHOD)
    for concurrency, series in results["rounds"].items():
        workers = "two workers" if concurrency == 2 else "one worker, pinned to a processor"
        parts.append(f"## Processor time with {workers}\n")
        parts.append(goals(series))
        parts.append(figures(series))
    parts.append("## One process alone\n")
    parts.append(
        "Idle is the processor time of all threads in a second without a request: for Serinus its "
        "four ticks in each worker.\n"
    )
    parts.append(alone_table(results["alone"]))
    times = results["effect"]
    parts.append(
        f"A changed policy took effect {statistics.median(times):.0f} ms after its file was "
        f"renamed into place (median of {len(times)}, at most {max(times):.0f} ms).\n"
    )
    parts.append("## A host call alone\n")
    parts.append(
        "Nanoseconds of a call that is made a thousand times in a row, so that all it touches is "
        "in the caches; within requests it is more.\n"
    )
    calls = [[name, f"{nanos:.0f}"] for name, nanos in results["calls"].items()]
    parts.append(table(["host call", "ns"], calls))
    parts.append("## A shadow whose upstream hangs for 5 s\n")
    parts.append(hung_table(results["hung"]))
    parts.append("## Counted\n")
    parts.append(
        "By `make bench-count`, the same on every machine; the limits are those of "
        "[limits.toml](limits.toml).\n"
    )
    parts.append((ROOT / "target/cost/counted.md").read_text())
    path.write_text("\n".join(parts))
