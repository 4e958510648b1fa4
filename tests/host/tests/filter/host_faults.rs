//! Whatever a host call answers, the filter does not trap and the request goes on.
//!
//! Every function that the filter calls fails in every way that it can, in every call and only
//! in the first and second, from the configuration on and only in requests.

use std::collections::BTreeSet;

use serinus_host_tests::{
    Calls, Effect, Failure, Fault, Filter, Outcome, Process, Request, Response,
};

use crate::host_calls::CALLED;
use crate::policies::{CANARY, EVERY_HOST_CALL, every_host_call_shut};
use crate::{BAD_POLICY, BEAT, request, variant, worker_of};

/// A bad policy first, then two good ones.
const POLICIES: [&str; 3] = [BAD_POLICY, CANARY, EVERY_HOST_CALL];

/// Requests that between them make every host call of the filter.
fn requests() -> [Request; 11] {
    let forged = request()
        .header("x-serinus-variant", "canary")
        .header("baggage", "serinus=a:b");
    [
        Request::get("/checkout").header("x-serinus-explain", "1"),
        forged,
        Request::get("/old/app"),
        request().aborted(),
        request()
            .header("content-type", "application/grpc")
            .answered(Response::status(200).trailer("grpc-status", "14")),
        Request::get("/checkout")
            .answered(Response::status(503).by_proxy("no_healthy_upstream", 2)),
        Request::get("/serinus/state.json"),
        Request::get("/copied").answered(copied("1")),
        Request::get("/copied")
            .method("POST")
            .body("{}")
            .answered(copied("2")),
        Request::get("/rescued").answered(Response::status(503).body("broken")),
        Request::get("/rescued")
            .method("HEAD")
            .answered(Response::status(503)),
    ]
}

/// An answer to a request that is copied, or to its copy.
fn copied(body: &str) -> Response {
    Response::status(200)
        .header("content-type", "application/json")
        .header("x-envoy-upstream-service-time", "1")
        .body(body)
        .trailer("x-sum", "1")
}

/// Ends all calls that are under way, and those that follow from that, one with an answer and the
/// next without.
fn end_calls(filter: &mut Filter) -> Result<Vec<Calls>, Failure> {
    let mut made = Vec::new();
    while let Some(token) = filter.http_calls().first().map(|call| call.token) {
        made.push(match token % 3 {
            0 => filter.reset(token)?,
            _ => filter.answer(token, &copied("3"))?,
        });
    }
    Ok(made)
}

/// Runs one request, and ends the calls that it waits for.
fn serve(filter: &mut Filter, request: &Request) -> Result<(Outcome, Vec<Calls>), Failure> {
    let stream = filter.begin(request)?;
    let ended = match filter.waits(stream) {
        true => end_calls(filter)?,
        false => Vec::new(),
    };
    Ok((filter.finish(stream)?, ended))
}

/// A WebSocket that lasts until the gate of its variant is shut, or beyond.
fn socket(process: &Process, filter: &mut Filter) -> Result<Outcome, Failure> {
    let upgrade = request().header("upgrade", "websocket");
    let (id, _) = filter.open(&upgrade)?;
    filter.respond(id, &Response::status(101).body("hello").cut("", 0))?;
    process.advance(BEAT);
    filter.try_configure(every_host_call_shut())?;
    for _ in 0..8 {
        process.advance(BEAT);
        filter.try_tick()?;
    }
    filter.goes_by(id, true, b"hello")?;
    filter.finish(id)
}

/// A proxy that knows the clusters of [`EVERY_HOST_CALL`], and a worker.
fn proxy() -> (Process, Filter) {
    let process = Process::new();
    process.add_cluster("v1");
    process.add_cluster("v2");
    let filter = Filter::new(&process);
    (process, filter)
}

/// Each way in which each function can fail.
fn faults() -> Vec<(&'static str, Effect)> {
    let of = |function: &'static str| {
        let effects = Fault::effects(function);
        effects.into_iter().map(move |effect| (function, effect))
    };
    CALLED.into_iter().flat_map(of).collect()
}

/// A whole life under faults: two policies, a bad one, requests and ticks; then a sound request.
fn live(early: &[Fault], late: &[Fault]) -> Result<Vec<Outcome>, Failure> {
    let (process, mut filter) = proxy();
    filter.set_faults(early.iter().cloned());
    for policy in [BAD_POLICY, CANARY, EVERY_HOST_CALL] {
        assert!(
            filter.try_configure(policy)?.accepted,
            "every policy is accepted"
        );
    }
    filter.set_faults(late.iter().cloned());
    let mut outcomes = Vec::new();
    for request in requests() {
        outcomes.push(serve(&mut filter, &request)?.0);
        end_calls(&mut filter)?;
        for _ in 0..2 {
            process.advance(BEAT * 2);
            filter.try_tick()?;
        }
    }
    // Whether it was ended or not, it did no harm.
    socket(&process, &mut filter)?;
    filter.set_faults([]);
    filter.try_configure(CANARY)?;
    let sound = filter.try_request(&request())?;
    assert_eq!(
        variant(&sound),
        "canary",
        "the filter works when the host works again"
    );
    Ok(outcomes)
}

/// What went wrong in a life, if anything did.
fn harm(early: &[Fault], late: &[Fault]) -> Option<String> {
    let outcomes = match live(early, late) {
        Ok(outcomes) => outcomes,
        Err(failure) => return Some(failure.to_string()),
    };
    let may_answer = |n| matches!(n, 2 | 6 | 9);
    let stuck = outcomes.iter().enumerate().find(|(n, outcome)| {
        let answered = may_answer(*n) && outcome.local_response.is_some();
        !outcome.continued() && !answered
    });
    stuck.map(|(n, _)| format!("request {n} did not go on"))
}

fn assert_harmless(harms: impl Iterator<Item = (String, Option<String>)>) {
    let harms: Vec<_> = harms
        .filter_map(|(fault, harm)| Some(format!("{fault}: {}", harm?)))
        .collect();
    assert!(
        harms.is_empty(),
        "{} faults do harm:\n{}",
        harms.len(),
        harms.join("\n")
    );
}

fn name(function: &str, effect: &Effect) -> String {
    let effect: String = format!("{effect:?}").chars().take(60).collect();
    format!("{function} {effect}")
}

#[test]
fn a_life_in_these_tests_makes_every_call_that_the_filter_can_make() {
    let (process, mut filter) = proxy();
    let mut made = BTreeSet::new();
    let mut note = |calls: Calls| made.extend(calls.iter().map(|call| call.function));
    for policy in POLICIES {
        note(filter.configure(policy).calls);
    }
    for request in requests() {
        let (outcome, ended) = serve(&mut filter, &request).expect("a request");
        note(outcome.calls);
        ended.into_iter().for_each(&mut note);
        let ended = end_calls(&mut filter).expect("ends of calls");
        ended.into_iter().for_each(&mut note);
        process.advance(BEAT * 2);
        note(filter.tick());
    }
    note(socket(&process, &mut filter).expect("no trap").calls);
    assert_eq!(made.into_iter().collect::<Vec<_>>(), CALLED);
}

#[test]
fn every_fault_from_the_configuration_on_is_harmless() {
    assert_harmless(faults().into_iter().map(|(function, effect)| {
        let every = [Fault::every(function, effect.clone())];
        (name(function, &effect), harm(&every, &every))
    }));
}

#[test]
fn every_fault_in_requests_is_harmless() {
    assert_harmless(faults().into_iter().map(|(function, effect)| {
        let every = [Fault::every(function, effect.clone())];
        (name(function, &effect), harm(&[], &every))
    }));
}

#[test]
fn every_fault_of_a_single_call_is_harmless() {
    assert_harmless(faults().into_iter().flat_map(|(function, effect)| {
        [1, 2].map(|n| {
            let nth = [Fault::nth(function, n, effect.clone())];
            (
                format!("call {n} of {}", name(function, &effect)),
                harm(&nth, &nth),
            )
        })
    }));
}

#[test]
fn a_host_where_nothing_works_is_harmless() {
    for status in (1..=12).chain([77]) {
        let all: Vec<_> = CALLED
            .iter()
            .map(|f| Fault::every(f, Effect::Status(status)))
            .collect();
        assert_eq!(harm(&all, &all), None, "status {status}");
    }
}

#[test]
fn what_a_request_could_not_do_is_counted() {
    let counted = [
        "proxy_add_header_map_value",
        "proxy_get_current_time_nanoseconds",
        "proxy_get_header_map_pairs",
        "proxy_remove_header_map_value",
        "proxy_replace_header_map_value",
        "proxy_send_local_response",
        "proxy_set_property",
    ];
    for function in counted {
        let process = Process::new();
        let mut filter = worker_of(&process, EVERY_HOST_CALL);
        filter.set_faults([Fault::every(function, Effect::Status(10))]);
        for request in requests() {
            filter.request(request);
        }
        filter.set_faults([]);
        filter.tick();
        let errors = process.metric("serinus_host_errors_total");
        assert!(errors > Some(0), "{function}: {errors:?}");
    }
}

#[test]
fn a_change_that_the_host_refuses_leaves_the_request_to_stable_on_its_own_path() {
    const REWRITING: &str = r#"{"routes": [{"name": "checkout", "key": [{"header": "x-user-id"}],
        "variants": [{"name": "canary", "share": "100%", "setHeaders": {"x-api": "2"},
        "rewritePath": {"prefix": "/checkout", "with": "/v2"}}]}]}"#;
    for n in [1, 2, 3, 4] {
        let mut filter = worker_of(&Process::new(), REWRITING);
        let refused = Effect::Status(1);
        filter.set_faults([Fault::nth("proxy_replace_header_map_value", n, refused)]);
        let outcome = filter.request(request());
        assert_eq!(variant(&outcome), "stable", "call {n}");
        assert_eq!(
            outcome.headers.text(":path"),
            Some("/checkout/pay"),
            "call {n}"
        );
        assert!(outcome.filter_state.is_empty(), "call {n}");
    }
}
