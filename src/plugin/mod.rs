//! The Envoy side: host calls become values, values become host calls.
//!
//! | file | what it does |
//! | --- | --- |
//! | [`exports`] | the calls that the host makes |
//! | [`root`] | takes the policy, keeps the clock |
//! | [`stream`] | one request |
//! | [`ended`] | its end |
//! | [`copied`] | its copy, if it has one |
//! | [`counting`] | what one worker counts, and how it is handed on |
//! | [`shadows`] | the shadows of all routes, and their calls |
//! | [`rescues`] | answers of variants that failed, and stable's in their place |
//! | [`flags`] | the flags: counted by all, shed by one of the workers |
//! | [`gates`] | the gates: judged by one of the workers, obeyed by all |
//! | [`watch`] | what one of the workers does with the sums |
//! | [`verdicts`] | what it makes of the shadows |
//! | [`pages`] | what the filter serves itself |
//! | [`store`] | what outlives a policy and a VM, in shared data |
//! | [`stats`] | the metrics |
//! | [`series`] | the series of one side, gate, budget, shadow |
//! | [`host`] | the host calls, none of which panics |

mod copied;
mod counting;
mod ended;
mod experiments;
mod exports;
mod flags;
mod gates;
mod host;
mod pages;
mod rescues;
mod root;
mod series;
mod shadows;
mod stats;
mod store;
mod stream;
mod verdicts;
mod watch;

use crate::report::metric;

/// There must be no panic. If there is one, it is counted and its place is in the log before the
/// host ends the VM.
fn panicked(info: &std::panic::PanicHookInfo<'_>) {
    series::Id::single(&metric::PANICS).add(1);
    let place = info.location().map_or("", |location| location.file());
    let line = info.location().map_or(0, |location| location.line());
    let text = format!("serinus: panicked at {place}:{line}; please report it");
    host::log(host::Level::Error, &text);
}
