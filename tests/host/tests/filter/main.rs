//! The compiled filter on the strict host: what it may call, and that nothing makes it fail a
//! request.
//!
//! The filter is the file that `SERINUS_WASM` names, else `target/serinus.wasm`: `make build`.

mod bad_input;
mod bad_policies;
mod host_calls;
mod host_faults;
mod policies;
mod routing;
mod trust;
mod workers;

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
