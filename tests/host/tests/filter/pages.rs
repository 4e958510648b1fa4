//! The pages that the filter serves: to whom the policy says, and at no route's cost.

use serde_json::Value;
use serinus_host_tests::{Callback, Effect, Fault, Filter, Outcome, Process, Request};

use crate::policies::COUNTED;
use crate::{BAD_POLICY, beats, document, outcomes, variant, worker, worker_of};

const PAGES: [&str; 3] = [
    "/serinus/healthz",
    "/serinus/version",
    "/serinus/state.json",
];

fn answer(outcome: &Outcome) -> (u32, Value) {
    let answer = outcome.local_response.as_ref().expect("an answer");
    let kind = answer.headers.text("content-type");
    assert_eq!(kind, Some("application/json"));
    (
        answer.status,
        serde_json::from_slice(&answer.body).expect("JSON"),
    )
}

fn page(filter: &mut Filter, path: &str) -> (u32, Value) {
    answer(&filter.request(Request::get(path)))
}

/// As [`COUNTED`], with pages for one host and network.
fn guarded() -> String {
    let when = r#"[{"header": "x-nobody", "present": false}]"#;
    let guard = r#"[{"clientIp": {}, "cidr": ["10.0.0.0/8"]}], "hosts": ["serinus.internal"]"#;
    COUNTED.replacen(when, guard, 1)
}

#[test]
fn pages_are_answered_by_the_filter_and_count_for_no_route() {
    let process = Process::new();
    let mut filter = worker_of(&process, COUNTED);
    for method in ["GET", "HEAD"] {
        for path in PAGES {
            let outcome = filter.request(Request::get(path).method(method));
            assert_eq!(answer(&outcome).0, 200, "{method} {path}");
            assert!(!outcome.continued());
            let ended = outcome.calls.during(Callback::Log);
            assert_eq!(ended.total(), 0, "{ended}");
        }
    }
    beats(&process, [&mut filter], 8);
    assert!(outcomes(&process, "stable").is_empty() && outcomes(&process, "canary").is_empty());
    let decisions = process.metric_names().into_iter();
    let decisions = decisions.filter(|name| name.ends_with("decisions_total"));
    assert!(
        decisions
            .into_iter()
            .all(|name| process.metric(&name) == Some(0))
    );
}

#[test]
fn pages_are_for_those_whom_the_policy_names() {
    let policy = guarded();
    let ask = |method: &str, host: &str, source: &str, path: &str| {
        let request = Request::get(path).method(method).host(host).source(source);
        worker(&policy).request(request).local_response.is_some()
    };
    let (host, source) = ("serinus.internal:80", "10.1.2.3:5000");
    for path in PAGES {
        assert!(ask("GET", host, source, path));
        assert!(ask("HEAD", host, source, path));
        assert!(!ask("POST", host, source, path));
        assert!(!ask("GET", "shop.example.com", source, path));
        assert!(!ask("GET", host, "203.0.113.9:5000", path));
        assert!(
            !ask("GET", host, "/run/envoy.sock", path),
            "no address is no network"
        );
        assert!(!ask("GET", host, source, &path[..path.len() - 1]));
    }
}

#[test]
fn without_a_page_in_the_policy_or_without_a_policy_nothing_is_answered() {
    for policy in [crate::policies::CANARY, BAD_POLICY] {
        let mut filter = worker(policy);
        for path in PAGES {
            assert!(filter.request(Request::get(path)).continued());
        }
    }
}

#[test]
fn healthz_fails_while_a_newer_policy_is_refused() {
    let process = Process::new();
    let mut filter = worker_of(&process, COUNTED);
    let (status, body) = page(&mut filter, "/serinus/healthz");
    assert_eq!((status, &body["healthy"]), (200, &Value::Bool(true)));
    filter.configure(BAD_POLICY);
    let (status, refused) = page(&mut filter, "/serinus/healthz");
    assert_eq!((status, &refused["healthy"]), (503, &Value::Bool(false)));
    assert_eq!(refused["policy"], body["policy"], "the last good one");
    let problems = &document(&mut filter)["rejected"]["problems"];
    assert!(
        problems
            .as_array()
            .is_some_and(|problems| !problems.is_empty())
    );
    filter.configure(COUNTED);
    assert_eq!(page(&mut filter, "/serinus/healthz"), (200, body));
}

#[test]
fn the_state_document_names_the_policy_and_is_the_same_on_every_worker() {
    let process = Process::new();
    let mut workers = [worker_of(&process, COUNTED), worker_of(&process, COUNTED)];
    workers[0].request(crate::of_caller(1));
    beats(&process, &mut workers, 8);
    let [first, second] = &mut workers;
    let document = document(first);
    assert_eq!(document, crate::document(second));
    assert_eq!(document["policy"]["name"], "shop");
    let (_, version) = page(first, "/serinus/version");
    assert_eq!(document["policy"]["version"], version["policy"]["version"]);
}

#[test]
fn a_page_that_the_host_cannot_answer_goes_on_as_any_other_request() {
    for path in PAGES {
        let process = Process::new();
        let mut filter = worker_of(&process, COUNTED);
        let refused = Effect::Status(10);
        filter.set_faults([Fault::every("proxy_send_local_response", refused)]);
        let forged = Request::get(path).header("x-serinus-variant", "canary");
        let outcome = filter.request(forged);
        assert!(outcome.continued(), "{path}");
        assert_eq!(
            variant(&outcome),
            "stable",
            "what a caller forged is removed"
        );
        filter.set_faults([]);
        beats(&process, [&mut filter], 4);
        assert_eq!(process.metric("serinus_host_errors_total"), Some(1));
    }
}

#[test]
fn a_state_document_that_cannot_be_made_is_no_success() {
    let mut filter = worker(COUNTED);
    let clock = "proxy_get_current_time_nanoseconds";
    filter.set_faults([Fault::every(clock, Effect::Status(10))]);
    let outcome = filter.request(Request::get("/serinus/state.json"));
    let answer = outcome.local_response.expect("an answer");
    assert!(answer.status >= 500, "{}", answer.status);
}
