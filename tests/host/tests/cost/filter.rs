//! What a request costs in the compiled filter: from the making of its context to its deletion.

use serinus_host_tests::{Filter, Process, Request, Response};

use crate::policies::{BODY, GATE, HELD, LEAST, browser, checkout, others, policy, rules, shadow};
use crate::table::Measured;

/// Requests before those that are measured: maps and buffers have their size then.
const WARM: u64 = 64;
/// Requests of which the mean is taken, each of another caller.
const REQUESTS: u64 = 64;

/// A worker under `policy`.
pub fn worker(process: &Process, policy: &str) -> Filter {
    let mut filter = Filter::new(process);
    let configured = filter.configure(policy);
    let complaint = configured
        .logs
        .iter()
        .find(|line| line.text.contains("refused"));
    assert!(complaint.is_none() || policy.is_empty(), "{complaint:?}");
    filter
}

/// The mean instructions of a request, and the most host calls of one.
pub fn per_request(policy: &str, request: impl Fn(u64) -> Request) -> (u64, usize) {
    let process = Process::new();
    let mut filter = worker(&process, policy);
    for n in 0..WARM {
        filter.request(request(n));
    }
    let outcomes = (WARM..WARM + REQUESTS).map(|n| filter.request(request(n)));
    let outcomes: Vec<_> = outcomes.collect();
    let calls = outcomes.iter().map(|outcome| outcome.calls.total()).max();
    let instructions: u64 = outcomes.iter().map(|outcome| outcome.instructions).sum();
    (instructions / REQUESTS, calls.unwrap_or(0))
}

fn request(name: &str, policy: &str) -> Measured {
    let (instructions, calls) = per_request(policy, browser);
    Measured {
        name: format!("request: {name}"),
        instructions,
        calls: Some(calls),
    }
}

/// Every cost of a request.
pub fn measured() -> Vec<Measured> {
    let held = format!(", {HELD}");
    let gate = format!(", {GATE}");
    let with_rules = format!("{gate}{}", rules(10));
    let least = |routes: &str| policy(LEAST, routes);
    let report = |report: &str| policy(report, &checkout("0%", &gate));
    let mut many = others(499);
    many.push(checkout("0%", &gate));
    let last = many.join(",");
    many.rotate_right(1);
    let first = many.join(",");
    let elsewhere = others(1).remove(0);
    let mut all = vec![
        request("no policy", ""),
        request("no route takes it", &least(&elsewhere)),
        request("a held gate, stable", &least(&checkout("0%", &held))),
        request("a held gate, canary", &least(&checkout("100%", &held))),
        request("health and gate, stable", &least(&checkout("0%", &gate))),
        request("health and gate, canary", &least(&checkout("100%", &gate))),
        request("as it is by default", &policy("{}", &checkout("0%", &gate))),
        request("report.accessLog", &report(r#"{"hosts": false}"#)),
        request("report.hosts", &report(r#"{"accessLog": false}"#)),
        request(
            "report.bytes",
            &report(r#"{"accessLog": false, "hosts": false, "bytes": true}"#),
        ),
        request(
            "report.baggage",
            &report(r#"{"accessLog": false, "hosts": false, "baggage": true}"#),
        ),
        request("10 rules", &least(&checkout("0%", &with_rules))),
        request("the first of 500 routes", &least(&first)),
        request("the last of 500 routes", &least(&last)),
        request(
            "shadow, not drawn",
            &least(&checkout("0%", &format!("{gate}{}", shadow("0.0001%")))),
        ),
    ];
    all.push(shadowed(&least(&checkout(
        "0%",
        &format!("{gate}{}", shadow("100%")),
    ))));
    all
}

/// A request that is copied, and what its copy's answer costs: equal bodies.
fn shadowed(policy: &str) -> Measured {
    let process = Process::new();
    for cluster in ["v1", "v2"] {
        process.add_cluster(cluster);
    }
    let mut filter = worker(&process, policy);
    let mut calls = 0;
    let mut before = 0;
    for n in 0..WARM + REQUESTS {
        if n == WARM {
            before = filter.instructions();
        }
        process.advance(std::time::Duration::from_millis(10));
        calls = filter.request(browser(n)).calls.total();
        let tokens: Vec<u32> = filter.http_calls().iter().map(|call| call.token).collect();
        assert_eq!(tokens.len(), 1, "each request is copied once");
        for token in tokens {
            let response = Response::status(200)
                .header("content-type", "application/json")
                .header("date", "Sat, 21 Nov 2026 09:00:00 GMT")
                .body(BODY);
            filter.answer(token, &response).expect("an answer");
        }
    }
    Measured {
        name: "request: shadow, copied and compared".to_owned(),
        instructions: (filter.instructions() - before) / REQUESTS,
        calls: Some(calls),
    }
}
