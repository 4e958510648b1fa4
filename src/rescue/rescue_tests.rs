use super::*;
use crate::health::flags::Flags;
use crate::health::statuses::{GrpcSet, StatusSet};
use crate::request::testing::lines;

fn settings() -> Settings {
    Settings {
        cluster: "shop-v1".to_owned(),
        methods: vec!["GET".to_owned(), "DELETE".to_owned()],
        failures: failures(true, true),
        deadline: Some("200".to_owned()),
        timeout: 1_000,
        per_second: 50,
    }
}

fn failures(reset: bool, timeout: bool) -> Failures {
    Failures {
        statuses: Errors {
            statuses: StatusSet::of(&[(500, 502), (429, 429)]),
            grpc: GrpcSet::of(&[]),
        },
        reset,
        timeout,
    }
}

#[test]
fn a_request_of_a_named_method_without_a_body_has_a_chance() {
    for (method, header, ends, chance) in [
        ("GET", ("accept", "*/*"), true, Some(Chance::Open)),
        ("DELETE", ("accept", "*/*"), true, Some(Chance::Open)),
        ("GET", ("accept", "*/*"), false, Some(Chance::HasBody)),
        ("GET", ("content-length", "0"), false, Some(Chance::Open)),
        (
            "GET",
            ("content-length", "00"),
            false,
            Some(Chance::HasBody),
        ),
        ("POST", ("accept", "*/*"), true, None),
        ("get", ("accept", "*/*"), true, None),
        ("GET", ("upgrade", "websocket"), true, None),
        ("GET", ("content-type", "application/grpc"), false, None),
    ] {
        let headers = lines(&[(":method", method), (":path", "/")], &[header]);
        let request = Request::new(&headers, &|| None);
        let found = settings().chance(&request, ends);
        assert_eq!(found, chance, "{method} {header:?} {ends}");
    }
}

#[test]
fn a_caller_who_is_believed_to_have_a_deadline_keeps_it() {
    for (header, deadline) in [
        (("accept", "*/*"), Some("200")),
        ((DEADLINE_HEADER, "5"), None),
    ] {
        let headers = lines(&[(":method", "GET")], &[header]);
        let request = Request::new(&headers, &|| None);
        assert_eq!(settings().deadline(&request), deadline);
    }
}

/// How an answer began: its status, its flags and its details.
fn began(status: u64, flags: u64, details: &str) -> Ended<'_> {
    Ended {
        status: Some(Status::of(status)),
        flags: Flags(flags),
        details: Some(details.as_bytes()),
        ..Ended::default()
    }
}

#[test]
fn what_a_failure_is_follows_from_who_made_the_answer() {
    const UPSTREAM: &str = "via_upstream";
    const BROKE: &str = "upstream_reset_before_response_started{connection_termination}";
    // By: named statuses alone, with reset, with time-out.
    for (status, details, expected) in [
        (200, UPSTREAM, [false, false, false]),
        (404, UPSTREAM, [false, false, false]),
        (429, UPSTREAM, [true, true, true]),
        (502, UPSTREAM, [true, true, true]),
        // The version's own 503 and 504 are statuses like others.
        (503, UPSTREAM, [false, false, false]),
        (504, UPSTREAM, [false, false, false]),
        (503, BROKE, [false, true, false]),
        (
            503,
            "upstream_reset_before_response_started{remote_connection_failure|x}",
            [false, true, false],
        ),
        (
            503,
            "upstream_reset_before_response_started{overflow}",
            [false, true, false],
        ),
        (503, "no_healthy_upstream", [false, true, false]),
        (503, "cluster_not_found", [false, true, false]),
        (504, "response_timeout", [false, false, true]),
        (504, "upstream_per_try_timeout", [false, false, true]),
        // The proxy's own refusals are nobody's failure, and nobody's to rescue.
        (500, "ext_authz_error", [false, false, false]),
        (429, "rate_limited", [false, false, false]),
        (500, "filter_chain_not_found", [false, false, false]),
    ] {
        let of = [(false, false), (true, false), (false, true)];
        let found = of.map(|(reset, timeout)| {
            let failures = failures(reset, timeout);
            failures.has(&began(status, 0, details))
        });
        assert_eq!(found, expected, "{status} {details}");
    }
}

#[test]
fn without_details_the_flags_tell_a_failure() {
    let began = |flags: Flags| began(503, flags.0, "");
    let only_reset = failures(true, false);
    assert!(only_reset.has(&began(Flags::UPSTREAM_CONNECT_FAILURE)));
    assert!(!only_reset.has(&began(Flags::UPSTREAM_TIMEOUT)));
    assert!(failures(false, true).has(&began(Flags::UPSTREAM_TIMEOUT)));
}

#[test]
fn no_two_words_are_the_same() {
    let mut words = Rescued::ALL.map(Rescued::word);
    words.sort_unstable();
    assert!(words.windows(2).all(|pair| pair[0] != pair[1]));
}
