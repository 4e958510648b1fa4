//! What the filter and its core cost, in WebAssembly instructions and host calls, against the limits
//! of `benches/limits.toml`.
//!
//! wasmtime's fuel counts one for an instruction, also for one that copies or fills memory, and is
//! the same on every machine: a limit is exceeded only because the code, the compiler or `wasm-opt`
//! changed. The tables are printed with `--nocapture` and written to `target/cost/counted.md`
//! (`make bench-count`).

mod code;
mod core;
mod filter;
mod growth;
mod limits;
mod policies;
mod table;
mod ticks;

use limits::Limits;
use table::{Growth, Measured};

fn measured() -> Vec<Measured> {
    let mut all = core::measured();
    all.extend(filter::measured());
    all.extend(ticks::measured());
    all
}

/// What one worker's processor has to fetch on the way of every request.
#[test]
fn what_few_requests_need_is_not_in_the_way_of_all() {
    let (limits, sizes) = (Limits::read(), code::of_exports());
    let sized = limits.code.iter().map(|(callback, most)| {
        let size = sizes.get(callback).copied().unwrap_or(usize::MAX);
        (
            format!("{callback}: {size} bytes of at most {most}"),
            size > *most,
        )
    });
    let (beyond, within): (Vec<_>, Vec<_>) = sized.partition(|(_, is_beyond)| *is_beyond);
    within.iter().for_each(|(line, _)| println!("{line}"));
    assert!(beyond.is_empty(), "{beyond:#?}");
}

/// One test for all, so that each is measured once and the tables come out in one piece.
#[test]
fn nothing_costs_more_than_its_limit() {
    let limits = Limits::read();
    let measured = measured();
    let growth = growth::measured();
    table::publish(&measured, &growth, &limits);
    let steps = growth.iter().map(Growth::step);
    let problems = limits.problems(&measured, steps);
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}
