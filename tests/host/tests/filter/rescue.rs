//! Rescues: what failed on the canary is answered by stable, and counts as the canary's failure.
//!
//! Host calls of a request to a variant of a route with `rescue`, beside those that it costs anyway:
//!
//! | when | calls |
//! | --- | --- |
//! | its headers | the deadline, if the policy has one |
//! | its answer's headers | all of them |
//! | the same, with a status from 400 on | `response.flags`, `response.code_details`, two looks at the clock, the call |
//! | stable's answer | headers, body, the stream's turn, the answer |

use serinus_host_tests::{
    Callback, Effect, Fault, Filter, HttpCall, LocalResponse, Outcome, Process, Request, Response,
    Status,
};

use crate::{beats, outcomes, requests, worker_of};

const BODY: &str = r#"{"name": "widget"}"#;

/// A route whose callers all get the canary, with this in its `rescue`.
fn policy(rescue: &str) -> String {
    format!(
        r#"{{"name": "shop", "mode": "enforce", "report": {{"hosts": false}},
        "explain": {{"when": [{{"header": "x-nobody", "present": false}}]}},
        "routes": [{{"name": "checkout", "key": [{{"header": "x-user-id"}}, {{"issueCookie": "id"}}],
        "variants": [{{"name": "canary", "share": "100%", "setHeaders": {{"x-version": "2"}},
                       "rewritePath": {{"prefix": "/cart", "with": "/v2/cart"}}}}],
        "rescue": {{"cluster": "v1"{rescue}}}}}]}}"#
    )
}

/// A proxy with stable's cluster, and a worker under this policy.
fn proxy(policy: &str) -> (Process, Filter) {
    let process = Process::new();
    process.add_cluster("v1");
    let filter = worker_of(&process, policy);
    (process, filter)
}

fn get() -> Request {
    Request::get("/cart").header("x-user-id", "u-17")
}

fn failing() -> Response {
    Response::status(503)
        .header("x-from", "canary")
        .body("broken")
}

/// The proxy's own answer for an upstream that gave none.
fn by_proxy(status: u16, details: &str, flags: u64) -> Response {
    let own = Response::status(status).body("upstream connect error");
    own.by_proxy(details, flags)
}

fn stable() -> Response {
    Response::status(200)
        .header("content-type", "application/json")
        .header("content-length", "18")
        .header("set-cookie", "a=b")
        .header("set-cookie", "c=\u{e9}d")
        .header("x-envoy-upstream-service-time", "3")
        .body(BODY)
}

/// Asks, lets the canary answer so, and gives the stream and its call to stable.
#[track_caller]
fn asked(filter: &mut Filter, request: &Request, response: &Response) -> (u32, HttpCall) {
    let (stream, _) = filter.open(request).expect("the request");
    filter.respond(stream, response).expect("the answer");
    assert!(filter.waits(stream), "the canary's answer waits");
    (stream, filter.http_calls().last().expect("a call").clone())
}

/// The same, and stable answers so.
#[track_caller]
fn rescued(filter: &mut Filter, request: &Request, of: &Response, by: &Response) -> Outcome {
    let (stream, call) = asked(filter, request, of);
    filter.answer(call.token, by).expect("stable's answer");
    assert!(!filter.waits(stream), "nothing waits any more");
    filter.finish(stream).expect("its end")
}

/// What it comes to when nothing is rescued.
#[track_caller]
fn left_alone(filter: &mut Filter, request: Request) -> Outcome {
    let outcome = filter.request(request);
    assert_eq!(filter.http_calls(), [], "nobody is asked");
    assert!(outcome.local_response.is_none());
    outcome
}

#[track_caller]
fn given(outcome: &Outcome) -> &LocalResponse {
    outcome.local_response.as_ref().expect("an answer")
}

/// The access log's pair of this name.
fn told(outcome: &Outcome, name: &str) -> Option<String> {
    let field = String::from_utf8_lossy(&outcome.filter_state["serinus"]).into_owned();
    let mut pairs = field.split(' ').filter_map(|pair| pair.split_once('='));
    let pair = pairs.find(|(known, _)| *known == name);
    pair.map(|(_, value)| value.to_owned())
}

#[track_caller]
fn is_told(outcome: &Outcome, class: &str, word: &str) {
    assert_eq!(told(outcome, "outcome").as_deref(), Some(class));
    assert_eq!(told(outcome, "rescue").as_deref(), Some(word));
}

/// What was counted, by the word of the outcome, once the worker has told.
fn counted(process: &Process, filter: &mut Filter) -> Vec<(String, u64)> {
    beats(process, [filter], 5);
    let name = |name: &String| {
        let (labels, _) = name.split_once("serinus_rescues_total")?;
        let word = labels.rsplit_once("outcome=.=")?.1;
        Some(word.trim_end_matches(";.;").to_owned())
    };
    let names = process.metric_names().into_iter();
    let counts = names.filter_map(|full| Some((name(&full)?, process.metric(&full)?)));
    counts.filter(|(_, count)| *count > 0).collect()
}

fn once(word: &str) -> Vec<(String, u64)> {
    vec![(word.to_owned(), 1)]
}

#[test]
fn a_failure_is_answered_by_stable_and_counts_as_the_canarys() {
    for (response, class) in [
        (failing(), "error_status"),
        (Response::status(500), "error_status"),
        (
            by_proxy(
                503,
                "upstream_reset_before_response_started{connection_termination}",
                64,
            ),
            "error_reset_before",
        ),
        (
            by_proxy(
                503,
                "upstream_reset_before_response_started{remote_connection_failure}",
                32,
            ),
            "error_connect",
        ),
        (by_proxy(503, "no_healthy_upstream", 2), "error_no_host"),
        (
            by_proxy(504, "upstream_per_try_timeout", 4),
            "error_timeout",
        ),
        (by_proxy(504, "response_timeout", 4), "error_timeout"),
    ] {
        let (process, mut filter) = proxy(&policy(""));
        let outcome = rescued(&mut filter, &get(), &response, &stable());
        let answer = given(&outcome);
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (200, BODY.as_bytes())
        );
        assert_eq!(
            answer.headers.text("content-type"),
            Some("application/json")
        );
        is_told(&outcome, class, "answered");
        assert_eq!(counted(&process, &mut filter), once("answered"));
        assert_eq!(requests(&process, "canary", class), 1);
        assert_eq!(requests(&process, "canary", "ok"), 0);
        assert_eq!(outcomes(&process, "stable"), []);
    }
}

#[test]
fn stable_is_asked_what_the_caller_asked_and_the_canary_has_a_deadline() {
    let (_, mut filter) = proxy(&policy(r#", "deadline": "200ms", "timeout": "700ms""#));
    let request = get().header("cookie", "s=1").header("x-version", "0");
    let (stream, call) = asked(&mut filter, &request, &failing());
    let canary = filter.forwarded(stream).clone();
    let deadline = canary.text("x-envoy-upstream-rq-per-try-timeout-ms");
    assert_eq!(deadline, Some("200"));
    assert_eq!(canary.text(":path"), Some("/v2/cart"));
    assert_eq!(canary.text("x-version"), Some("2"));
    assert_eq!(
        (call.cluster.as_str(), call.timeout.as_millis()),
        ("v1", 700)
    );
    let sent = request.sent();
    for (name, value) in sent.iter() {
        assert_eq!(call.headers.get(name), Some(value), "{name:?}");
    }
    assert_eq!(call.headers.len(), sent.len(), "{:?}", call.headers);
    assert!(call.body.is_empty());
}

#[test]
fn lines_of_one_name_and_of_any_bytes_arrive_and_those_of_the_proxy_do_not() {
    let (_, mut filter) = proxy(&policy(""));
    let anonymous = Request::get("/cart").header("x-serinus-explain", "1");
    let outcome = rescued(&mut filter, &anonymous, &failing(), &stable());
    let answer = given(&outcome);
    let cookies = answer.headers.all("set-cookie").into_iter();
    let cookies: Vec<_> = cookies.map(String::from_utf8_lossy).collect();
    assert_eq!(cookies.len(), 3, "{cookies:?}");
    assert_eq!(cookies[..2], ["a=b", "c=\u{e9}d"]);
    assert!(cookies[2].starts_with("id="), "the one that was issued");
    for name in [
        "content-length",
        "x-envoy-upstream-service-time",
        ":status",
        "x-from",
    ] {
        assert_eq!(answer.headers.get(name), None, "{name}");
    }
    let reason = answer.headers.text("x-serinus-reason").expect("why");
    assert!(reason.ends_with("; rescue=answered"), "{reason}");
}

#[test]
fn an_answer_to_head_keeps_the_length_of_the_body_that_nobody_sends() {
    let (process, mut filter) = proxy(&policy(""));
    let answer = Response::status(200)
        .header("content-length", "5000000")
        .header("set-cookie", "a=b")
        .header("x-envoy-upstream-service-time", "3");
    let canary = Response::status(503)
        .header("content-length", "6")
        .header("x-from", "canary");
    let head = Request::get("/cart")
        .method("HEAD")
        .header("x-serinus-explain", "1");
    let outcome = rescued(&mut filter, &head, &canary, &answer);
    assert!(
        outcome.local_response.is_none(),
        "it is changed and goes on"
    );
    let headers = outcome.response_headers.as_ref().expect("an answer");
    assert_eq!(headers.text(":status"), Some("200"));
    assert_eq!(headers.text("content-length"), Some("5000000"));
    assert_eq!(headers.text("x-from"), None);
    assert_eq!(headers.text("x-envoy-upstream-service-time"), None);
    let reason = headers.text("x-serinus-reason").expect("why");
    assert!(reason.ends_with("; rescue=answered"), "{reason}");
    is_told(&outcome, "error_status", "answered");
    assert_eq!(counted(&process, &mut filter), once("answered"));
}

#[test]
fn where_stable_fails_too_the_canarys_own_answer_goes_on() {
    let failures = [
        Response::status(500).body("stable is broken too"),
        by_proxy(
            503,
            "upstream_reset_before_response_started{connection_failure}",
            32,
        ),
        by_proxy(504, "response_timeout", 4),
    ];
    for (method, by) in ["GET", "HEAD"]
        .iter()
        .flat_map(|of| failures.iter().map(move |by| (of, by)))
    {
        let (process, mut filter) = proxy(&policy(""));
        let request = get().method(method).header("x-serinus-explain", "1");
        let outcome = rescued(&mut filter, &request, &failing(), by);
        assert!(outcome.local_response.is_none());
        let headers = outcome.response_headers.as_ref().expect("an answer");
        assert_eq!(headers.text(":status"), Some("503"));
        assert_eq!(headers.text("x-from"), Some("canary"));
        let reason = headers.text("x-serinus-reason").expect("why");
        assert!(!reason.contains("rescue"), "{reason}");
        is_told(&outcome, "error_status", "failed");
        assert_eq!(counted(&process, &mut filter), once("failed"));
    }
    // It ended with no headers at all: a time-out in the body, or one longer than the proxy holds.
    let (process, mut filter) = proxy(&policy(""));
    let (stream, call) = asked(&mut filter, &get(), &failing());
    filter.reset(call.token).expect("an end");
    assert!(!filter.waits(stream));
    is_told(
        &filter.finish(stream).expect("its end"),
        "error_status",
        "failed",
    );
    assert_eq!(counted(&process, &mut filter), once("failed"));
}

#[test]
fn a_call_that_the_proxy_does_not_make_is_told_and_the_canarys_answer_goes_on() {
    let process = Process::new();
    let mut filter = worker_of(&process, &policy(""));
    let outcome = left_alone(&mut filter, get().answered(failing()));
    is_told(&outcome, "error_status", "not-sent");
    assert_eq!(counted(&process, &mut filter), once("not-sent"));
}

#[test]
fn past_so_many_a_second_callers_see_the_canarys_answer_until_a_second_is_over() {
    let (process, mut filter) = proxy(&policy(r#", "maxPerSecond": 2"#));
    let mut words = Vec::new();
    for _ in 0..3 {
        let (stream, _) = filter.open(&get()).expect("the request");
        filter.respond(stream, &failing()).expect("the answer");
        if filter.waits(stream) {
            let token = filter.http_calls()[0].token;
            filter.answer(token, &stable()).expect("stable's answer");
        }
        let outcome = filter.finish(stream).expect("its end");
        words.push(told(&outcome, "rescue").unwrap_or_default());
    }
    assert_eq!(words, ["answered", "answered", "limited"]);
    process.advance(std::time::Duration::from_millis(500));
    let outcome = rescued(&mut filter, &get(), &failing(), &stable());
    is_told(&outcome, "error_status", "answered");
}

#[test]
fn what_has_a_body_is_not_rescued_and_told_and_what_is_not_meant_is_not_told() {
    let methods = r#", "methods": ["GET", "POST"], "deadline": "200ms""#;
    let (process, mut filter) = proxy(&policy(methods));
    let with_body = get().method("POST").body("item=7").answered(failing());
    let outcome = left_alone(&mut filter, with_body);
    is_told(&outcome, "error_status", "body");
    assert_eq!(
        outcome
            .headers
            .get("x-envoy-upstream-rq-per-try-timeout-ms"),
        None
    );
    assert_eq!(counted(&process, &mut filter), once("body"));
    for request in [
        get().method("PUT").answered(failing()),
        get().header("upgrade", "websocket").answered(failing()),
        get()
            .header("content-type", "application/grpc")
            .answered(failing()),
        get().answered(Response::status(404)),
        get().answered(by_proxy(500, "ext_authz_error", 0)),
        get().method("POST").body("item=7"),
        get().aborted(),
    ] {
        let outcome = left_alone(&mut filter, request);
        assert_eq!(told(&outcome, "rescue"), None);
    }
    assert_eq!(counted(&process, &mut filter), once("body"), "as before");
}

#[test]
fn nobody_is_rescued_from_stable_nor_by_a_filter_that_observes() {
    let held = policy("").replacen(r#""rescue""#, r#""gate": {"held": "shut"}, "rescue""#, 1);
    let observed = policy(r#", "deadline": "200ms""#).replacen("enforce", "observe", 1);
    for text in [held, observed] {
        let (process, mut filter) = proxy(&text);
        let outcome = left_alone(&mut filter, get().answered(failing()));
        assert_eq!(
            outcome
                .headers
                .get("x-envoy-upstream-rq-per-try-timeout-ms"),
            None
        );
        assert_eq!(counted(&process, &mut filter), []);
    }
}

#[test]
fn a_caller_that_leaves_takes_its_rescue_along() {
    let (process, mut filter) = proxy(&policy(""));
    let (stream, call) = asked(&mut filter, &get(), &failing());
    let outcome = filter.finish(stream).expect("its end");
    is_told(&outcome, "error_status", "left");
    let calls = filter.answer(call.token, &stable()).expect("a late answer");
    assert_eq!(calls.count("proxy_send_local_response"), 0, "{calls}");
    assert_eq!(counted(&process, &mut filter), once("left"));
    // Its place is free for who comes next.
    let outcome = rescued(&mut filter, &get(), &failing(), &stable());
    is_told(&outcome, "error_status", "answered");
}

#[test]
fn each_answer_reaches_the_request_that_waits_for_it() {
    let (_, mut filter) = proxy(&policy(""));
    let waiting: Vec<_> = (0..5)
        .map(|_| asked(&mut filter, &get(), &failing()))
        .collect();
    for (place, (stream, call)) in waiting.iter().enumerate().rev() {
        let body = format!("for {stream}");
        let by = Response::status(200).body(&body);
        filter.answer(call.token, &by).expect("stable's answer");
        assert!(!filter.waits(*stream));
        assert!(
            waiting[..place]
                .iter()
                .all(|(other, _)| filter.waits(*other))
        );
    }
    for (stream, _) in waiting {
        let outcome = filter.finish(stream).expect("its end");
        assert_eq!(given(&outcome).body, format!("for {stream}").as_bytes());
    }
}

#[test]
fn a_request_whose_policy_was_replaced_is_rescued_by_its_own() {
    let (_, mut filter) = proxy(&policy(""));
    let (stream, call) = asked(&mut filter, &get(), &failing());
    assert!(
        filter
            .configure(r#"{"name": "shop", "routes": []}"#)
            .accepted
    );
    filter
        .answer(call.token, &stable())
        .expect("stable's answer");
    let outcome = filter.finish(stream).expect("its end");
    is_told(&outcome, "error_status", "answered");
}

#[test]
fn an_answer_longer_than_what_the_host_hands_over_is_none() {
    let (_, mut filter) = proxy(&policy(""));
    let (stream, call) = asked(&mut filter, &get(), &failing());
    filter.set_faults([Fault::every(
        "proxy_get_buffer_bytes",
        Effect::Status(Status::BadArgument as u32),
    )]);
    filter
        .answer(call.token, &stable())
        .expect("stable's answer");
    filter.set_faults([]);
    assert!(!filter.waits(stream), "the canary's answer goes on");
    is_told(
        &filter.finish(stream).expect("its end"),
        "error_status",
        "failed",
    );
}

#[test]
fn whatever_host_call_fails_nothing_waits_for_ever_and_nothing_traps() {
    for function in [
        "proxy_get_header_map_pairs",
        "proxy_get_property",
        "proxy_get_current_time_nanoseconds",
        "proxy_get_buffer_bytes",
        "proxy_http_call",
        "proxy_send_local_response",
        "proxy_add_header_map_value",
        "proxy_remove_header_map_value",
    ] {
        for method in ["GET", "HEAD"] {
            let (_, mut filter) = proxy(&policy(""));
            let request = get().method(method);
            let (stream, _) = filter.open(&request).expect("the request");
            filter.set_faults([Fault::every(
                function,
                Effect::Status(Status::InternalFailure as u32),
            )]);
            filter.respond(stream, &failing()).expect("the answer");
            if filter.waits(stream) {
                let token = filter.http_calls()[0].token;
                filter.answer(token, &stable()).expect("stable's answer");
            }
            assert!(!filter.waits(stream), "{function} {method}");
            filter.finish(stream).expect("its end");
        }
    }
}

#[test]
fn a_request_that_needs_no_rescue_pays_one_look_at_its_answer() {
    let cost = |policy: &str| {
        let (_, mut filter) = proxy(policy);
        filter.request(get()).calls
    };
    let without = policy("").replacen(r#""rescue": {"cluster": "v1"}"#, r#""salt": "a""#, 1);
    let (without, with) = (cost(&without), cost(&policy("")));
    assert_eq!(with.total(), without.total() + 1, "{with}");
    let headers = with.during(Callback::ResponseHeaders);
    assert_eq!(headers.table(), [("proxy_get_header_map_pairs", 1)]);
}
