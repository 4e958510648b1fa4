//! Flags: told in one header, counted by value, shed on all workers.

use serde_json::json;
use serinus_host_tests::{Filter, Outcome, Process, Request, Response};

use crate::{beats, document, of_caller, worker, worker_of};

const FLAGS: &str = r#"{"name": "shop", "mode": "enforce",
    "page": {"when": [{"header": "x-nobody", "present": false}]},
    "routes": [{"name": "checkout", "match": {"path": {"prefix": "/checkout"}}}],
    "flags": [{"name": "rec", "key": [{"header": "x-user-id"}], "default": "off",
        "values": [{"value": "on", "share": "100%"}], "expires": "2020-01-01",
        "shedWhen": {"route": "checkout", "restoreAfter": "10s",
            "limits": [{"signal": "errorRate", "above": "10%", "for": "4s", "minRequests": 10}]}}]}"#;

fn told(outcome: &Outcome) -> Option<&str> {
    outcome.headers.text("x-serinus-flags")
}

fn elsewhere() -> Request {
    Request::get("/cart").header("x-user-id", "u-17")
}

#[test]
fn a_request_is_told_its_flags_with_or_without_a_route_and_loses_what_a_caller_said() {
    let mut filter = worker(FLAGS);
    for request in [elsewhere(), of_caller(17)] {
        let outcome = filter.request(request.header("x-serinus-flags", "rec=\"no\""));
        assert_eq!(told(&outcome), Some("rec=\"on\""));
        let set = outcome.calls.count("proxy_replace_header_map_value");
        assert_eq!(set, 1, "{}", outcome.calls);
    }
    let nobody = filter.request(Request::get("/cart"));
    assert_eq!(told(&nobody), Some("rec=\"off\""));
}

#[test]
fn a_filter_that_observes_or_is_bypassed_tells_nothing() {
    for mode in ["observe", "bypass"] {
        let mut filter = worker(&FLAGS.replacen("enforce", mode, 1));
        let outcome = filter.request(elsewhere().header("x-serinus-flags", "rec=\"no\""));
        assert_eq!(told(&outcome), None, "{mode}");
    }
}

fn counted(process: &Process, value: &str) -> Option<u64> {
    process.metric(&format!(
        "flag=.=rec;.;value=.={value};.;serinus_flag_decisions_total"
    ))
}

#[test]
fn values_are_counted_over_all_workers() {
    let process = Process::new();
    let mut workers = [worker_of(&process, FLAGS), worker_of(&process, FLAGS)];
    assert_eq!(
        (counted(&process, "off"), counted(&process, "on")),
        (Some(0), Some(0))
    );
    for filter in &mut workers {
        filter.request(elsewhere());
        filter.request(elsewhere());
        filter.request(Request::get("/cart"));
    }
    beats(&process, &mut workers, 5);
    assert_eq!(
        (counted(&process, "off"), counted(&process, "on")),
        (Some(2), Some(4))
    );
    let [filter, _] = &mut workers;
    assert_eq!(
        document(filter)["flags"],
        json!([{"flag": "rec", "values": {"off": 2, "on": 4}, "shed": false, "expired": true}])
    );
}

/// So many seconds of traffic on the route, with that status.
fn seconds(process: &Process, workers: &mut [Filter], count: u32, status: u16) {
    for n in 0..count * 4 {
        for filter in workers.iter_mut() {
            filter.request(of_caller(n).answered(Response::status(status)));
        }
        beats(process, workers.iter_mut(), 1);
    }
}

#[test]
fn a_flag_is_shed_on_all_workers_and_new_ones_while_its_route_fails() {
    let process = Process::new();
    let mut workers = vec![worker_of(&process, FLAGS), worker_of(&process, FLAGS)];
    let now = |workers: &mut [Filter]| -> Vec<String> {
        let tell =
            |filter: &mut Filter| told(&filter.request(elsewhere())).expect("told").to_owned();
        workers.iter_mut().map(tell).collect()
    };
    let gauge = || process.metric("flag=.=rec;.;serinus_flag_shed");
    seconds(&process, &mut workers, 4, 200);
    assert_eq!(
        (now(&mut workers), gauge()),
        (vec!["rec=\"on\"".to_owned(); 2], Some(0))
    );
    seconds(&process, &mut workers, 8, 503);
    assert_eq!(
        (now(&mut workers), gauge()),
        (vec!["rec=\"off\"".to_owned(); 2], Some(1))
    );
    workers.push(worker_of(&process, &FLAGS.replacen("10%", "11%", 1)));
    assert_eq!(now(&mut workers), vec!["rec=\"off\"".to_owned(); 3]);
    seconds(&process, &mut workers, 20, 200);
    assert_eq!(
        (now(&mut workers), gauge()),
        (vec!["rec=\"on\"".to_owned(); 3], Some(0))
    );
}

#[test]
fn a_gauge_of_a_flag_that_is_gone_goes_to_0() {
    let process = Process::new();
    let mut workers = vec![worker_of(&process, FLAGS)];
    seconds(&process, &mut workers, 3, 200);
    seconds(&process, &mut workers, 8, 503);
    let gauge = || process.metric("flag=.=rec;.;serinus_flag_shed");
    assert_eq!(gauge(), Some(1));
    let without = r#"{"name": "shop", "routes": [{"name": "checkout"}]}"#;
    workers
        .iter_mut()
        .for_each(|filter| drop(filter.configure(without)));
    assert_eq!(gauge(), Some(0));
}
