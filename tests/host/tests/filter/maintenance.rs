//! Maintenance: writes are answered by the filter, reads go to the variant that the policy names.

use serinus_host_tests::{LocalResponse, Outcome, Process, Request};

use crate::{beats, outcomes, variant, worker, worker_of};

/// Under maintenance; [`observed`] is what it is without acting.
const ON: &str = r#"{"name": "shop", "mode": "enforce", "routes": [{"name": "checkout",
    "key": [{"header": "x-user-id"}], "variants": [{"name": "replica", "share": "0%"}],
    "maintenance": {"enabled": true, "retryAfter": "120s", "readsTo": "replica",
        "unless": [{"path": {}, "exact": "/healthz"}],
        "bodies": {"text/html": "<p>soon</p>", "application/problem+json": "{}"}}}]}"#;

fn observed() -> String {
    ON.replacen("enforce", "observe", 1)
}

fn write() -> Request {
    Request::get("/pay")
        .method("POST")
        .header("x-user-id", "u-17")
}

#[track_caller]
fn answer(outcome: &Outcome) -> &LocalResponse {
    outcome.local_response.as_ref().expect("an answer")
}

#[test]
fn a_write_is_answered_in_the_callers_own_media_type() {
    let mut filter = worker(ON);
    for (accept, content_type, body) in [
        ("text/html,*/*;q=0.8", "text/html", "<p>soon</p>"),
        ("*/*", "application/problem+json", "{}"),
    ] {
        let outcome = filter.request(write().header("accept", accept));
        let answer = answer(&outcome);
        assert_eq!((answer.status, answer.grpc_status), (503, -1));
        assert_eq!(answer.headers.text("content-type"), Some(content_type));
        assert_eq!(answer.headers.text("retry-after"), Some("120"));
        assert_eq!(answer.body, body.as_bytes());
    }
}

#[test]
fn a_grpc_call_is_told_that_the_service_is_unavailable() {
    let call = write().header("content-type", "application/grpc");
    let outcome = worker(ON).request(call);
    let answer = answer(&outcome);
    assert_eq!((answer.status, answer.grpc_status), (503, 14));
    assert_eq!(answer.body, b"maintenance");
}

#[test]
fn a_read_goes_to_its_variant_and_who_may_pass_goes_on_as_ever() {
    let mut filter = worker(ON);
    let of = |outcome: &Outcome| {
        let told = &outcome.filter_state["serinus"];
        (
            variant(outcome).to_owned(),
            String::from_utf8_lossy(told).into_owned(),
        )
    };
    let (side, told) = of(&filter.request(Request::get("/cart")));
    assert_eq!(side, "replica");
    assert!(told.contains("reason=maintenance"), "{told}");
    let passing = Request::get("/healthz").method("POST");
    let (side, told) = of(&filter.request(passing));
    assert_eq!(side, "stable");
    assert!(told.contains("reason=no-key"), "{told}");
}

#[test]
fn a_filter_that_observes_turns_nobody_away() {
    let mut filter = worker(&observed());
    assert!(filter.request(write()).continued());
    let read = filter.request(Request::get("/cart"));
    assert_eq!(variant(&read), "stable");
}

#[test]
fn what_is_turned_away_is_counted_as_refused_and_its_reason_is_there_from_the_start() {
    let decided = |process: &Process, side: &str| {
        process.metric(&format!(
            "route=.=checkout;.;variant=.={side};.;reason=.=maintenance;.;serinus_decisions_total"
        ))
    };
    let off = ON.replacen(r#""enabled": true"#, r#""enabled": false"#, 1);
    for (policy, count) in [(off.as_str(), 0), (ON, 1)] {
        let process = Process::new();
        let mut filter = worker_of(&process, policy);
        assert_eq!(decided(&process, "stable"), Some(0));
        assert_eq!(decided(&process, "replica"), Some(0));
        filter.request(write());
        filter.request(Request::get("/cart"));
        beats(&process, [&mut filter], 8);
        assert_eq!(decided(&process, "stable"), Some(count));
        assert_eq!(decided(&process, "replica"), Some(count));
        if count == 1 {
            assert_eq!(outcomes(&process, "stable"), [("refused".to_owned(), 1)]);
            assert_eq!(outcomes(&process, "replica"), [("ok".to_owned(), 1)]);
        }
    }
}
