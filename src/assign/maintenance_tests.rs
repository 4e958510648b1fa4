use super::*;
use crate::assign::decide::{Decision, Reason};
use crate::assign::gates::{Gate, Gates, Passage};
use crate::assign::ramp::Millis;
use crate::assign::testing::with_request;
use crate::policy::{self, Policy};

/// A shop whose replica is nobody's but in maintenance; `rest` is its maintenance.
fn shop(rest: &str) -> Policy {
    let text = format!(
        r#"{{"trust": "mesh", "routes": [{{"name": "shop", "key": [{{"header": "x-user-id"}}],
            "variants": [{{"name": "canary", "share": "100%"}}, {{"name": "replica", "share": "0%"}}],
            "rules": [{{"name": "old", "when": [{{"header": "x-app", "exact": "1"}}],
                        "then": {{"respond": {{"status": 426}}}}}}],
            "maintenance": {{{rest}}}}}]}}"#
    );
    policy::read(text.as_bytes()).unwrap_or_else(|refusal| panic!("{refusal}"))
}

type Headers<'h> = &'h [(&'h str, &'h str)];

fn decided<T>(
    policy: &Policy,
    (method, path): (&str, &str),
    headers: Headers<'_>,
    gates: &Gates,
    tell: impl FnOnce(&Decision<'_>) -> T,
) -> T {
    with_request(method, path, headers, |request| {
        let assigner = &policy.assigner;
        tell(&assigner.decide(request, Millis(0), gates, &mut || None))
    })
}

/// The side, the reason and the status of an answer, while all gates are open.
fn seen(policy: &Policy, line: (&str, &str), headers: Headers<'_>) -> (String, &'static str, u16) {
    decided(policy, line, headers, &Gates::OPEN, |decision| {
        let route = decision.route.unwrap();
        let status = decision.respond.map_or(0, |answer| answer.status);
        let side = route.side_name(decision.side).to_owned();
        (side, decision.reason.word(), status)
    })
}

const ON: &str = r#""enabled": true, "readsTo": "replica", "retryAfter": "90s""#;
const ANNA: (&str, &str) = ("x-user-id", "anna");

#[test]
fn writes_are_turned_away_and_reads_go_elsewhere_whatever_else_would_decide() {
    let policy = shop(ON);
    let carried = ("baggage", "serinus=shop:canary");
    for headers in [&[ANNA][..], &[ANNA, ("x-app", "1")], &[ANNA, carried]] {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let away = ("stable".to_owned(), "maintenance", 503);
            assert_eq!(seen(&policy, (method, "/"), headers), away, "{method}");
        }
        for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            let elsewhere = ("replica".to_owned(), "maintenance", 0);
            assert_eq!(seen(&policy, (method, "/"), headers), elsewhere, "{method}");
        }
    }
    // Neither a read nor named.
    let as_ever = ("canary".to_owned(), "share", 0);
    assert_eq!(seen(&policy, ("PURGE", "/"), &[ANNA]), as_ever);
}

#[test]
fn without_a_place_for_reads_they_go_where_they_go_anyway() {
    let policy = shop(r#""enabled": true"#);
    let read = seen(&policy, ("GET", "/"), &[ANNA]);
    assert_eq!(read, ("canary".to_owned(), "share", 0));
    assert_eq!(seen(&policy, ("POST", "/"), &[ANNA]).1, "maintenance");
}

#[test]
fn maintenance_that_is_off_changes_nothing() {
    let policy = shop(r#""enabled": false, "readsTo": "replica""#);
    for method in ["GET", "POST"] {
        let side = seen(&policy, (method, "/"), &[ANNA]);
        assert_eq!(side, ("canary".to_owned(), "share", 0));
    }
}

#[test]
fn each_condition_of_unless_lets_pass_by_itself_and_rules_go_on_for_who_passes() {
    let policy = shop(
        r#""enabled": true, "readsTo": "replica",
           "unless": [{"path": {}, "exact": "/healthz"}, {"header": "x-employee", "exact": "true"}]"#,
    );
    let staff = ("x-employee", "true");
    for (line, headers) in [
        (("GET", "/healthz"), &[ANNA][..]),
        (("POST", "/pay"), &[ANNA, staff]),
    ] {
        assert_eq!(seen(&policy, line, headers).1, "share");
    }
    let old = seen(&policy, ("POST", "/pay"), &[staff, ("x-app", "1")]);
    assert_eq!(old, ("stable".to_owned(), "rule", 426));
    assert_eq!(seen(&policy, ("POST", "/pay"), &[ANNA]).1, "maintenance");
}

#[test]
fn the_gate_of_the_variant_that_reads_go_to_is_asked_as_ever() {
    let policy = shop(ON);
    let gates = |passage| {
        let gate = Gate {
            passage,
            ..Gate::default()
        };
        Gates::new(vec![vec![Gate::default(), gate]])
    };
    for (passage, reason) in [
        (Passage::Shut, Reason::GateShut),
        (
            Passage::Probing(crate::assign::share::Share::NONE),
            Reason::GateProbing,
        ),
    ] {
        decided(
            &policy,
            ("GET", "/"),
            &[ANNA],
            &gates(passage),
            |decision| {
                assert_eq!((decision.side, decision.reason), (Side::Stable, reason));
            },
        );
    }
}

#[test]
fn the_answer_is_one_that_the_caller_accepts() {
    let policy = shop(
        r#""enabled": true, "retryAfter": "2026-11-21T09:00:00Z", "status": 599, "bodies": {
            "text/html; charset=utf-8": "<p>soon</p>", "application/problem+json": "{}"}"#,
    );
    let answered = |headers: Headers<'_>| {
        decided(&policy, ("POST", "/"), headers, &Gates::OPEN, |decision| {
            decision.respond.unwrap().clone()
        })
    };
    let header = |answer: &Respond, wanted: &str| {
        let found = answer.headers.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let page = answered(&[("accept", "text/html,*/*;q=0.8")]);
    assert_eq!((page.status, page.body.as_str()), (599, "<p>soon</p>"));
    assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
    assert_eq!(
        header(&page, "retry-after"),
        "Sat, 21 Nov 2026 09:00:00 GMT"
    );
    assert_eq!(header(&page, "vary"), "accept");
    for accept in ["*/*", "image/png", "application/json"] {
        let answer = answered(&[("accept", accept)]);
        assert_eq!(header(&answer, "content-type"), "application/problem+json");
        assert_eq!(answer.grpc_status, None);
    }
    let call = answered(&[("content-type", "application/grpc+proto")]);
    assert_eq!(
        (call.grpc_status, call.body.as_str()),
        (Some(14), "maintenance")
    );
    assert_eq!(
        header(&call, "retry-after"),
        "Sat, 21 Nov 2026 09:00:00 GMT"
    );
    assert_eq!(header(&call, "content-type"), "");
}

#[test]
fn without_bodies_there_are_a_page_and_a_problem_and_a_wait_is_rounded_up() {
    let policy = shop(r#""enabled": true, "retryAfter": "1500ms""#);
    for (accept, start) in [("text/html", "<!doctype"), ("*/*", "{\"status\":503,")] {
        let headers = [("accept", accept)];
        decided(&policy, ("POST", "/"), &headers, &Gates::OPEN, |decision| {
            let answer = decision.respond.unwrap();
            assert!(answer.body.starts_with(start), "{}", answer.body);
            let wait = ("retry-after".to_owned(), "2".to_owned());
            assert!(answer.headers.contains(&wait));
        });
    }
}
