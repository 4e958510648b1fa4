//! The compiled filter on the strict host: what it may call, and that nothing makes it fail a
//! request.
//!
//! The filter is the file that `SERINUS_WASM` names, else `target/serinus.wasm`: `make build`.

mod bad_input;
mod bad_policies;
mod clocks;
mod costs;
mod counting;
mod ended;
mod experiment;
mod flags;
mod foreign_data;
mod gates;
mod gates_calm;
mod gates_kept;
mod host_calls;
mod host_faults;
mod imports;
mod lease;
mod long_lived;
mod maintenance;
mod pages;
mod policies;
mod rescue;
mod routing;
mod shadow;
mod shop;
mod trust;
mod workers;

use std::time::Duration;

use serde_json::Value;
use serinus_host_tests::{Filter, LogLevel, Outcome, Process, Request};

/// Not a policy: the last good one serves on, and with none everything passes as stable.
const BAD_POLICY: &str = "not a policy";

/// A worker of a new proxy, under a good policy, or under [`BAD_POLICY`].
#[track_caller]
fn worker(policy: &str) -> Filter {
    worker_of(&Process::new(), policy)
}

/// A worker of a proxy, as [`worker`].
#[track_caller]
fn worker_of(process: &Process, policy: &str) -> Filter {
    let mut filter = Filter::new(process);
    let configured = filter.configure(policy);
    assert!(configured.accepted, "every policy is accepted");
    let refused = configured
        .logs
        .iter()
        .any(|line| line.level >= LogLevel::Error);
    assert_eq!(refused, policy == BAD_POLICY, "{:#?}", configured.logs);
    filter
}

/// The variant that the request goes on with: `stable` is told by silence.
fn variant(outcome: &Outcome) -> &str {
    outcome
        .headers
        .text("x-serinus-variant")
        .unwrap_or("stable")
}

/// A request of the caller `u-17`.
fn request() -> Request {
    Request::get("/checkout/pay").header("x-user-id", "u-17")
}

/// A request of the `n`th caller.
fn of_caller(n: u32) -> Request {
    Request::get("/checkout").header("x-user-id", format!("u-{n}"))
}

/// How often each worker is woken.
const BEAT: Duration = Duration::from_millis(250);

/// Time passes, and all these workers are woken at each beat.
fn beats<'f>(process: &Process, workers: impl IntoIterator<Item = &'f mut Filter>, beats: u32) {
    let mut workers: Vec<&mut Filter> = workers.into_iter().collect();
    for _ in 0..beats {
        process.advance(BEAT);
        workers.iter_mut().for_each(|filter| drop(filter.tick()));
    }
}

/// A series of the route `checkout`.
fn series(variant: &str, label: &str, metric: &str) -> String {
    format!("route=.=checkout;.;variant=.={variant};.;{label}{metric}")
}

/// What the proxy counted of requests of the route `checkout` with this outcome.
fn requests(process: &Process, variant: &str, outcome: &str) -> u64 {
    let label = format!("outcome=.={outcome};.;");
    let name = series(variant, &label, "serinus_requests_total");
    process.metric(&name).unwrap_or_else(|| panic!("no {name}"))
}

/// The outcomes that the proxy counted for a variant of `checkout`, with how often.
fn outcomes(process: &Process, variant: &str) -> Vec<(String, u64)> {
    let start = series(variant, "outcome=.=", "");
    let names = process.metric_names().into_iter();
    let counted = names.filter_map(|name| {
        let word = name.strip_prefix(&start)?.split(';').next()?.to_owned();
        Some((word, process.metric(&name).unwrap_or(0)))
    });
    counted.filter(|(_, count)| *count > 0).collect()
}

/// The state document.
#[track_caller]
fn document(filter: &mut Filter) -> Value {
    let outcome = filter.request(Request::get("/serinus/state.json"));
    let answer = outcome.local_response.expect("the page");
    assert_eq!(answer.status, 200);
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// What the state document counts of a variant of `checkout`, as [`outcomes`].
#[track_caller]
fn ledger(filter: &mut Filter, variant: &str) -> Vec<(String, u64)> {
    let document = document(filter);
    let named = |list: &Value, key: &str, name: &str| {
        let list = list.as_array().expect("a list");
        let found = list.iter().find(|entry| entry[key] == name);
        found.unwrap_or_else(|| panic!("no {key} {name}")).clone()
    };
    let route = named(&document["routes"], "route", "checkout");
    let counted = named(&route["variants"], "variant", variant);
    let counted = counted["outcomes"].as_object().expect("counts");
    let counted = counted
        .iter()
        .map(|(word, count)| (word.clone(), count.as_u64().expect("a count")));
    let mut counted: Vec<_> = counted.filter(|(_, count)| *count > 0).collect();
    counted.sort();
    counted
}
