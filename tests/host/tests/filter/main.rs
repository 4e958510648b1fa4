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

use serinus_host_tests::{Filter, Outcome, Process, Request};

/// A worker of a new proxy, under a policy.
fn worker(policy: &str) -> Filter {
    worker_of(&Process::new(), policy)
}

/// A worker of a proxy, under a policy.
fn worker_of(process: &Process, policy: &str) -> Filter {
    let mut filter = Filter::new(process);
    assert!(
        filter.configure(policy).accepted,
        "every policy is accepted"
    );
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
