//! What a decision does to the request and its response.

use std::time::Duration;

use serinus_host_tests::{Action, Process, Request};

use crate::policies::{CANARY, EVERY_CONDITION, EVERY_HOST_CALL, NO_ROUTE, STABLE};
use crate::{BAD_POLICY, request, variant, worker, worker_of};

#[test]
fn a_canary_request_tells_its_variant_and_route_and_nothing_else_changes() {
    let expected = request()
        .header("x-serinus-variant", "canary")
        .header("x-serinus-route", "checkout");
    let outcome = worker(CANARY).request(request());
    assert_eq!(&outcome.headers, expected.sent());
}

#[test]
fn a_stable_request_goes_on_as_it_came() {
    for policy in [BAD_POLICY, STABLE, NO_ROUTE] {
        let outcome = worker(policy).request(request());
        assert_eq!(&outcome.headers, request().sent(), "{policy}");
    }
}

#[test]
fn access_logs_can_read_the_variant_and_the_reason() {
    for (policy, variant, reason) in [
        (CANARY, "canary", "share"),
        (STABLE, "stable", "rest"),
        (NO_ROUTE, "stable", "no-route"),
    ] {
        let outcome = worker(policy).request(request());
        let told = String::from_utf8(outcome.filter_state["serinus"].clone()).expect("text");
        assert!(told.contains(variant) && told.contains(reason), "{told}");
    }
}

#[test]
fn each_rule_decides_before_the_share_does() {
    let base = || request();
    let acme = "Bearer e30.eyJvcmciOiJhY21lIn0.x";
    let by_rule: [(&str, Request); 11] = [
        ("exact", base().header("x-employee", "yes")),
        ("prefix", base().header("cookie", "a=b; group=beta-3")),
        (
            "suffix",
            Request::get("/?lang=de-x").header("x-user-id", "u-17"),
        ),
        (
            "contains",
            Request::get("/a/internal/b").header("x-user-id", "u-17"),
        ),
        ("regex", base().host("qa7.example")),
        ("in", base().method("TRACE")),
        ("present", base().header("x-force-stable", "")),
        ("semver", base().header("x-app", "99.1.0")),
        (
            "number",
            Request::get("/?age=1001").header("x-user-id", "u-17"),
        ),
        ("claim", base().header("authorization", acme)),
        ("cidr", base().source("10.2.3.4:5")),
    ];
    let mut filter = worker(EVERY_CONDITION);
    assert_eq!(variant(&filter.request(base())), "canary");
    for (rule, request) in by_rule {
        assert_eq!(variant(&filter.request(request)), "stable", "{rule}");
    }
}

#[test]
fn a_canary_gets_its_headers_and_its_path_and_the_query_survives() {
    let request = Request::get("/checkout/pay?a=%20b").header("x-user-id", "u-17");
    let outcome = worker(EVERY_HOST_CALL).request(request.header("baggage", "a=1"));
    assert_eq!(
        outcome.headers.text(":path"),
        Some("/v2/checkout/pay?a=%20b")
    );
    assert_eq!(outcome.headers.text("x-api-version"), Some("2"));
    let baggage = outcome
        .headers
        .text("baggage")
        .expect("the caller's and the filter's member");
    assert!(
        baggage.contains("a=1") && baggage.contains("serinus=checkout:canary"),
        "{baggage}"
    );
}

#[test]
fn a_ramp_follows_the_clock() {
    let process = Process::new();
    let mut filter = worker_of(&process, EVERY_HOST_CALL);
    assert_eq!(variant(&filter.request(request())), "canary");
    process.set_time(Duration::from_secs(1_700_000_000));
    assert_eq!(variant(&filter.request(request())), "stable");
}

#[test]
fn an_issued_cookie_is_valid_on_the_request_that_issues_it_and_afterwards() {
    let mut filter = worker(EVERY_HOST_CALL);
    let first = filter.request(Request::get("/checkout"));
    assert_eq!(variant(&first), "canary");
    let response = first.response_headers.expect("a response");
    let cookie = response.text("set-cookie").expect("an issued cookie");
    let (pair, attributes) = cookie.split_once(';').expect("attributes");
    assert!(attributes.contains("HttpOnly"), "{cookie}");

    let second = filter.request(Request::get("/checkout").header("cookie", pair));
    assert_eq!(variant(&second), "canary");
    assert_eq!(
        second
            .response_headers
            .expect("a response")
            .get("set-cookie"),
        None
    );

    let malformed = filter.request(Request::get("/checkout").header("cookie", "serinus=1"));
    assert!(
        malformed
            .response_headers
            .expect("a response")
            .get("set-cookie")
            .is_some()
    );
}

#[test]
fn two_callers_get_different_cookies() {
    let mut filter = worker(EVERY_HOST_CALL);
    let mut cookie = || {
        let response = filter.request(Request::get("/checkout")).response_headers;
        response.and_then(|headers| headers.text("set-cookie").map(str::to_owned))
    };
    assert_ne!(cookie().expect("a cookie"), cookie().expect("another"));
}

#[test]
fn reasons_are_told_to_whom_the_policy_allows() {
    let mut filter = worker(EVERY_HOST_CALL);
    let mut reason = |source, asks: bool| {
        let mut request = request().source(source);
        if asks {
            request = request.header("x-serinus-explain", "1");
        }
        let outcome = filter.request(request);
        assert_eq!(outcome.headers.get("x-serinus-explain"), None, "stripped");
        outcome
            .response_headers
            .expect("a response")
            .text("x-serinus-reason")
            .map(str::to_owned)
    };
    let told = reason("203.0.113.7:1", true).expect("a reason");
    assert!(told.contains("share") && !told.contains("u-17"), "{told}");
    assert_eq!(reason("203.0.113.7:1", false), None);
    assert_eq!(reason("198.51.100.7:1", true), None);
}

#[test]
fn a_rule_can_answer_by_itself() {
    let outcome = worker(EVERY_HOST_CALL).request(Request::get("/old/app"));
    assert_eq!(outcome.action, Action::Pause);
    let response = outcome.local_response.expect("the rule's response");
    assert_eq!(
        (response.status, &response.body[..]),
        (426, &b"upgrade"[..])
    );
    assert_eq!(response.headers.text("x-use"), Some("h2c"));
}

#[test]
fn observing_decides_and_changes_nothing() {
    let policy = CANARY.replacen('{', r#"{"mode": "observe", "#, 1);
    let outcome = worker(&policy).request(request());
    assert_eq!(outcome.headers, worker(STABLE).request(request()).headers);
    assert!(
        outcome
            .filter_state
            .values()
            .any(|told| told.windows(6).any(|w| w == b"canary"))
    );
}

#[test]
fn a_bypassed_filter_lets_every_request_go_on() {
    for policy in [CANARY, EVERY_HOST_CALL] {
        let policy = policy.replacen('{', r#"{"mode": "bypass", "#, 1);
        for request in [request(), Request::get("/old"), Request::get("/checkout")] {
            let outcome = worker(&policy).request(request);
            assert!(outcome.continued());
            assert_eq!(variant(&outcome), "stable");
            assert_eq!(
                outcome.response_headers.expect("a response").len(),
                1,
                "only :status"
            );
        }
    }
}
