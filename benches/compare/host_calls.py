"""What each host call costs by itself: a module that makes one of them a thousand times a request.

That is the price with everything in the processor's caches: within real requests a call costs
more. Even so it tells which are dear: those that give bytes, for which the host has to enter the
module again to ask for memory.
"""

from __future__ import annotations

import statistics
import subprocess
from http.client import HTTPConnection
from pathlib import Path

from .configurations import ROOT, Configuration, Upstreams, wasm
from .measure import of_workers
from .processes import Envoy, envoy

CALLS_A_REQUEST = 1_000
REQUESTS = 50
ROUNDS = 9

# Texts in the module's memory, by their places.
TEXTS = {
    128: "absent-property",
    192: "request\\00path",
    256: ":path",
    320: "x-mark",
    384: "1",
}


def text(place: int) -> str:
    length = len(TEXTS[place].replace("\\00", "0"))
    return f"(i32.const {place}) (i32.const {length})"


# Where the host puts what it gives: a pointer, a length, a time.
OUT = "(i32.const 8) (i32.const 12)"
CALLS = {
    "nothing": "",
    "all header lines": f"(call $pairs (i32.const 0) {OUT})",
    "one header": f"(call $header (i32.const 0) {text(256)} {OUT})",
    "a property": f"(call $property {text(192)} {OUT})",
    "a property that is not there": f"(call $property {text(128)} {OUT})",
    "setting a property anew": f"(call $mark {text(320)} {text(384)})",
    "setting a header anew": f"(call $replace (i32.const 0) {text(320)} {text(384)})",
    "the clock": "(call $clock (i32.const 16))",
    "a counter": "(call $count (global.get $counter) (i64.const 1))",
}

MODULE = """(module
 (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
 (import "env" "proxy_get_header_map_value"
  (func $header (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_set_property" (func $mark (param i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_replace_header_map_value"
  (func $replace (param i32 i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_get_current_time_nanoseconds" (func $clock (param i32) (result i32)))
 (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
 (import "env" "proxy_increment_metric" (func $count (param i32 i64) (result i32)))
 (memory (export "memory") 16)
 (global $counter (mut i32) (i32.const 0))
 %(data)s
 (func (export "proxy_abi_version_0_2_1"))
 (func (export "malloc") (param i32) (result i32) (i32.const 65536))
 (func (export "proxy_on_context_create") (param i32 i32)
  (if (i32.eqz (local.get 1)) (then
   (drop (call $define (i32.const 0) %(metric)s (i32.const 24)))
   (global.set $counter (i32.load (i32.const 24))))))
 (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
  (local $left i32)
  (local.set $left (i32.const %(count)d))
  (loop $again
   %(call)s
   (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
  (i32.const 0)))
"""


def module(name: str, folder: Path) -> Path:
    """A module that makes this call."""
    call = CALLS[name] and f"(drop {CALLS[name]})"
    data = " ".join(f'(data (i32.const {place}) "{text}")' for place, text in TEXTS.items())
    source = folder / f"{name.replace(' ', '-')}.wat"
    parts = {"data": data, "metric": text(320), "call": call, "count": CALLS_A_REQUEST}
    source.write_text(MODULE % parts)
    compiled = source.with_suffix(".wasm")
    assembler = next((ROOT / "target/tools").glob("binaryen-*/node_modules/binaryen/bin/wasm-as"))
    subprocess.run(["node", str(assembler), str(source), "-o", str(compiled)], check=True)
    return compiled


def host_calls(ups: Upstreams, folder: Path) -> dict[str, float]:
    """Nanoseconds of each call: medians, less what the loop around it takes."""
    of = {name: name.replace(" ", "-") for name in CALLS}
    compared = [
        Configuration(key, name, (wasm(key, module(name, folder), ""),), "plain")
        for name, key in of.items()
    ]
    spent: dict[str, list[float]] = {name: [] for name in CALLS}
    with envoy(compared, ups, folder, 1) as process:
        for _ in range(ROUNDS):
            for name, key in of.items():
                spent[name].append(one_round(process, process.ports[key]))
    nothing = statistics.median(spent.pop("nothing"))
    return {name: statistics.median(took) - nothing for name, took in spent.items()}


def one_round(process: Envoy, port: int) -> float:
    caller = HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"x-user-id": "user-4711", "cookie": "theme=dark; session=k3JwqZ0m7a"}
    before = of_workers(process.spent())
    for _ in range(REQUESTS):
        caller.request("GET", "/checkout/pay?step=2", headers=headers)
        answer = caller.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"{port}: {answer.status}")
    caller.close()
    return (of_workers(process.spent()) - before) / REQUESTS / CALLS_A_REQUEST
