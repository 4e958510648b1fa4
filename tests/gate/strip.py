#!/usr/bin/env python3
"""Makes the traces of this folder from full ones: drops what `serinus judge` never reads.

usage: strip.py FULL_TRACES_DIR

Per tick go errors_by_top_key, err_keys, and fields that are zero or empty. The latency histogram
goes too, except from the traces named in WITH_LATENCY, whose thresholds of slow are also learned
in a test. Of the header stays what is read.
"""
import gzip
import json
import pathlib
import sys

WITH_LATENCY = {"lat_p99x2_1krps", "lat_x3_100rps", "lat_p50+20pct_1krps", "shared_lat_x3"}
HEADER = ["tick_ms", "share_ppm", "grace_s", "slow_ms", "slow90_ms", "latency_le_ms"]


def side(counts, latency):
    drop = {"errors_by_top_key", "err_keys"} | (set() if latency else {"latency"})
    return {k: v for k, v in counts.items() if k not in drop and (v or k == "n")}


def main():
    here = pathlib.Path(__file__).parent
    for full in sorted(pathlib.Path(sys.argv[1]).glob("*.jsonl.gz")):
        name = full.name.removesuffix(".jsonl.gz")
        head, *ticks = map(json.loads, gzip.open(full, "rt"))
        lines = [{k: head[k] for k in HEADER}]
        for tick in ticks:
            for variant in ("stable", "canary"):
                tick[variant] = side(tick[variant], name in WITH_LATENCY)
            lines.append(tick)
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        (here / full.name).write_bytes(gzip.compress(text.encode(), 9, mtime=0))


main()
