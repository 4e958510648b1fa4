//! What a second costs beside its requests: four ticks, in which counts are handed on and gates
//! are judged.

use std::time::Duration;

use serinus_host_tests::{Filter, Process};

use crate::filter::worker;
use crate::policies::{GATE, browser, checkout, others, policy};
use crate::table::Measured;

const BEAT: Duration = Duration::from_millis(250);
/// Seconds before those that are measured: what happens once has happened.
const WARM: u64 = 5;
/// Seconds of which the mean is taken.
const SECONDS: u64 = 5;
/// Requests in each.
const REQUESTS: u64 = 64;

/// A second in which this many requests come.
fn second(process: &Process, filter: &mut Filter, first: u64, requests: u64) -> (u64, usize) {
    for n in first..first + requests {
        filter.request(browser(n));
    }
    let before = filter.instructions();
    let mut calls = 0;
    for _ in 0..4 {
        process.advance(BEAT);
        calls += filter.tick().total();
    }
    (filter.instructions() - before, calls)
}

fn measure(name: &str, policy: &str, requests: u64) -> Measured {
    let process = Process::new();
    let mut filter = worker(&process, policy);
    let mut took = (0, 0);
    for number in 0..WARM + SECONDS {
        let (instructions, calls) = second(&process, &mut filter, number * requests, requests);
        if number >= WARM {
            took = (took.0 + instructions, calls.max(took.1));
        }
    }
    Measured {
        name: format!("second: {name}"),
        instructions: took.0 / SECONDS,
        calls: Some(took.1),
    }
}

/// Every cost of a second.
pub fn measured() -> Vec<Measured> {
    let route = checkout("50%", &format!(", {GATE}"));
    let mut routes = others(499);
    routes.push(route.clone());
    let (one, many) = (policy("{}", &route), policy("{}", &routes.join(",")));
    vec![
        measure("a route, no request", &one, 0),
        measure("a route, 64 requests", &one, REQUESTS),
        measure("500 routes, no request", &many, 0),
        measure("500 routes, 64 requests to one", &many, REQUESTS),
    ]
}
