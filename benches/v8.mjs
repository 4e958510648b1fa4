// How long the core's comparisons take in V8, the engine that Envoy runs the filter in: the median
// and the slowest of some runs, after V8 has optimised them. Printed, never asserted.
//
//   node benches/v8.mjs [target/serinus-core-bench.wasm]

import { readFile } from "node:fs/promises";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";

const BODY = 10_000;
const WARM = 300;
const RUNS = 301;
// The numbers are those of benches/core.
const CASES = [
  ["an assignment", 1, 0],
  ["comparing 10 kB, equal", 3, 0],
  ["comparing 10 kB, same values", 4, 0],
  ["comparing 10 kB, one value differs", 5, 1],
  ["comparing 10 kB, all values differ", 5, BODY],
];

const usual = fileURLToPath(new URL("../target/serinus-core-bench.wasm", import.meta.url));
const module = await WebAssembly.compile(await readFile(process.argv[2] ?? usual));

console.log(`| in V8 ${process.versions.v8} | median µs | slowest µs |\n| --- | ---: | ---: |`);
for (const [name, number, differing] of CASES) {
  const { exports } = await WebAssembly.instantiate(module);
  if (exports.prepare(number, BODY, differing) !== 1) throw new Error(`no case ${number}`);
  const times = [];
  for (let run = 0; run < WARM + RUNS; run++) {
    const began = performance.now();
    exports.run();
    times.push((performance.now() - began) * 1000);
  }
  const sorted = times.slice(WARM).sort((a, b) => a - b);
  const at = (share) => sorted[Math.round((sorted.length - 1) * share)].toFixed(1);
  console.log(`| ${name} | ${at(0.5)} | ${at(1)} |`);
}
