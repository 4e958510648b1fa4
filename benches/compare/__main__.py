"""Runs everything and writes benches/RESULTS.md and benches/cost.svg.

python -m compare [--rounds 20] [--warm 25000] [--out benches]
"""

from __future__ import annotations

import argparse
import os
import pickle
import statistics
from pathlib import Path
from typing import Any

from . import chart, measure, report
from .configurations import ROOT, Configuration, all_of_them
from .host_calls import host_calls
from .processes import processors, upstreams

ROUNDS, WARM = 20, 25_000
EFFECTS = 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="compare", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--warm", type=int, default=WARM)
    parser.add_argument("--out", type=Path, default=ROOT / "benches")
    asked = parser.parse_args()
    if asked.rounds < 2:
        parser.error("--rounds: a quartile needs at least 2")
    folder = ROOT / "target/bench"
    folder.mkdir(parents=True, exist_ok=True)
    results = run(folder, asked.rounds, asked.warm)
    with (folder / "results.pickle").open("wb") as kept:
        pickle.dump(results, kept)
    write(results, asked.out)


def run(folder: Path, rounds: int, warm: int) -> dict[str, Any]:
    before = os.getloadavg()[0]
    pins = processors()
    with upstreams(folder, pins[1] if pins else None) as ups:
        compared = all_of_them()
        alone = {}
        for one in compared:
            print(f"  alone: {one.key}", flush=True)
            alone[one.key] = measure.alone(one, ups, folder, warm)
        own_idle = {key: took.idle for key, took in alone.items()}
        pinned = measure.rounds(ups, folder, 1, rounds, warm, own_idle)
        calls = host_calls(ups, folder)
        effect = measure.effect(by_key(compared, "i"), ups, folder, EFFECTS)
    with upstreams(folder, None) as ups:
        shared = measure.rounds(ups, folder, 2, rounds, warm, own_idle)
        slowest = min(statistics.median(one.throughput) for one in shared.values())
        hung = measure.hang(ups, folder, max(rounds // 2, 4), round(slowest / 2, -2))
    return {
        "settings": {
            "rounds": rounds,
            "warm": warm,
            "shortened": rounds < ROUNDS or warm < WARM,
            "load": (before, os.getloadavg()[0]),
        },
        "alone": alone,
        "calls": calls,
        "rounds": {2: shared, 1: pinned},
        "effect": effect,
        "hung": hung,
    }


def by_key(compared: list[Configuration], key: str) -> Configuration:
    return next(one for one in compared if one.key == key)


def write(results: dict[str, Any], out: Path) -> None:
    settings = results["settings"]
    report.write(out / "RESULTS.md", results)
    note = f"Envoy {report.envoy_version()}, two workers, {settings['rounds']} rounds"
    if settings["shortened"]:
        note += " (a shortened run)"
    chart.draw(results["rounds"][2], out / "cost.svg", f"{note}; lines are quartiles")
    print(f"  written: {out / 'RESULTS.md'} and {out / 'cost.svg'}")


main()
