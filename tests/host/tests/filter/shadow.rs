//! Copies of requests: what they cost in host calls, what each end of a call comes to, and that
//! nothing that the host does with them reaches the request.
//!
//! Host calls of a request with a copy, beside those that it costs anyway:
//!
//! | when | calls |
//! | --- | --- |
//! | the request was not drawn | none |
//! | its headers, without a body | the call, and the clock |
//! | each chunk of its body | the chunk, and the clock |
//! | its answer's headers | all of them |
//! | each chunk of its answer's body | the chunk |
//! | its end | `response.code_details`, and the clock |
//! | the call's end | headers, body, trailers, and the clock |

use serde_json::Value;
use serinus_host_tests::{
    Callback, Calls, Fault, Filter, HttpCall, LogLevel, Outcome, Process, Request, Response,
};

use crate::foreign_data::foreign;
use crate::{beats, document, worker_of};

const BODY: &str = r#"{"name": "widget", "price": 17}"#;
const WORSE: &str = r#"{"name": "widget", "price": 18}"#;

/// A route whose shadow, always by raw pairs, is `shadow` and takes every request.
fn policy(shadow: &str) -> String {
    format!(
        r#"{{"name": "shop", "report": {{"hosts": false}},
        "page": {{"when": [{{"header": "x-nobody", "present": false}}]}},
        "routes": [{{"name": "checkout", "match": {{"path": {{"prefix": "/checkout"}}}},
        "key": [{{"header": "x-user-id"}}], "variants": [{{"name": "canary", "share": "0%"}}],
        "rules": [{{"name": "staff", "when": [{{"header": "x-employee", "exact": "true"}}],
          "then": {{"variant": "canary"}}}}],
        "shadow": {{"cluster": "v2", "share": "100%", "noise": "0%"{shadow}}}}}]}}"#
    )
}

/// The same route without a shadow.
fn unshadowed() -> String {
    let whole = policy("");
    let at = whole.find(r#","shadow""#).or(whole.find(r#""shadow""#));
    let before = whole[..at.expect("a shadow")].trim_end();
    format!("{}}}]}}", before.trim_end_matches(','))
}

/// A proxy with both versions' clusters, and a worker under this policy.
fn proxy(policy: &str) -> (Process, Filter) {
    let process = Process::new();
    process.add_cluster("v1");
    process.add_cluster("v2");
    let filter = worker_of(&process, policy);
    (process, filter)
}

fn asked() -> Request {
    Request::get("/checkout/1")
        .header("x-user-id", "u-17")
        .answered(json(BODY))
}

fn json(body: &str) -> Response {
    let json = Response::status(200).header("content-type", "application/json");
    json.body(body)
}

/// An answer of an upstream's to a call: by this header it is told from the proxy's own.
fn upstream(response: Response) -> Response {
    response.header("x-envoy-upstream-service-time", "3")
}

/// An answer of the proxy's own to a call that failed.
fn by_proxy(status: u16, text: &str) -> Response {
    let own = Response::status(status).header("content-type", "text/plain");
    own.body(text)
}

/// The access log's word for a copy; none if it has none.
fn word(outcome: &Outcome) -> Option<String> {
    let field = String::from_utf8(outcome.filter_state["serinus"].clone()).expect("text");
    let mut pairs = field.split(' ').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(name, _)| *name == "shadow")
        .map(|(_, word)| word.to_owned())
}

/// The one call that awaits its answer.
#[track_caller]
fn pending(filter: &Filter) -> HttpCall {
    let [call] = filter.http_calls() else {
        panic!("{:?} and not one call", filter.http_calls());
    };
    call.clone()
}

/// What the metrics count of the copies after a second: `calls answered`, `raw_pairs equal`, …
fn counted(process: &Process, filter: &mut Filter) -> Vec<(String, u64)> {
    beats(process, [filter], 5);
    told(process)
}

fn told(process: &Process) -> Vec<(String, u64)> {
    const NAME: &str = "serinus_shadow_";
    let names = process.metric_names().into_iter();
    let counts = names.filter_map(|name| {
        let count = process.metric(&name).filter(|count| *count > 0)?;
        let (labels, metric) = name.split_once(NAME)?;
        let labels = labels.trim_end_matches(";.;");
        let (_, value) = labels.rsplit_once("=.=")?;
        Some((format!("{} {value}", metric.strip_suffix("_total")?), count))
    });
    counts.collect()
}

/// What the state document says of the shadow.
fn shadow(filter: &mut Filter) -> Value {
    document(filter)["routes"][0]["shadow"].clone()
}

fn during(outcome: &Outcome, callback: Callback) -> Vec<(&'static str, usize)> {
    outcome.calls.during(callback).table()
}

#[test]
fn a_request_that_is_not_drawn_costs_no_call_more_than_without_a_shadow() {
    let plain = proxy(&unshadowed()).1.request(asked()).calls;
    let undrawn = policy("").replacen("100%", "0%", 1);
    let calls = proxy(&undrawn).1.request(asked()).calls;
    assert_eq!(calls, plain, "{calls}");
    let staff = || asked().header("x-employee", "true");
    let plain = proxy(&unshadowed()).1.request(staff()).calls;
    let calls = proxy(&policy("")).1.request(staff()).calls;
    assert_eq!(calls, plain, "a request to the canary: {calls}");
}

#[test]
fn a_copy_costs_two_calls_at_once_and_two_or_one_for_each_part_that_goes_by() {
    const GET_BYTES: &str = "proxy_get_buffer_bytes";
    const CLOCK: &str = "proxy_get_current_time_nanoseconds";
    const PAIRS: &str = "proxy_get_header_map_pairs";
    const CALL: &str = "proxy_http_call";
    let writes = policy(r#", "methods": ["POST"], "writes": "allow""#);
    let with_body = || asked().method("POST").body("{}");
    let plain = proxy(&unshadowed()).1.request(with_body()).calls;
    let (_, mut filter) = proxy(&writes);
    let outcome = filter.request(with_body());
    let added = |callback, function| {
        let of = |calls: &Calls| calls.during(callback).count(function);
        of(&outcome.calls) - of(&plain)
    };
    use Callback::{Log, RequestBody, RequestHeaders, ResponseBody, ResponseHeaders};
    assert_eq!(
        outcome.calls.during(RequestHeaders),
        plain.during(RequestHeaders)
    );
    assert_eq!(
        during(&outcome, RequestBody),
        [(GET_BYTES, 1), (CLOCK, 2), (CALL, 1)]
    );
    assert_eq!(during(&outcome, ResponseHeaders), [(PAIRS, 1)]);
    assert_eq!(during(&outcome, ResponseBody), [(GET_BYTES, 1)]);
    assert_eq!(
        (added(Log, CLOCK), added(Log, "proxy_get_property")),
        (1, 1)
    );
    assert_eq!(
        outcome.calls.total() - plain.total(),
        8,
        "{}",
        outcome.calls
    );
    let token = pending(&filter).token;
    let ended = filter.answer(token, &upstream(json(BODY))).expect("an end");
    assert_eq!(
        ended.table(),
        [(GET_BYTES, 1), (CLOCK, 1), (PAIRS, 2)],
        "{ended}"
    );
}

#[test]
fn a_copy_is_sent_as_the_policy_says_and_the_request_goes_on_unchanged() {
    let shape = r#", "host": "v2.internal", "timeout": "700ms",
        "rewritePath": {"prefix": "/checkout", "with": "/v2/checkout"}"#;
    let (_, mut filter) = proxy(&policy(shape));
    let outcome = filter.request(asked().header("connection", "x-hop").header("x-hop", "1"));
    assert_eq!(word(&outcome).as_deref(), Some("pending"));
    let plain = proxy(&unshadowed()).1;
    let expected = { plain }.request(asked().header("connection", "x-hop").header("x-hop", "1"));
    assert_eq!(outcome.headers, expected.headers);
    let call = pending(&filter);
    assert_eq!(
        (call.cluster.as_str(), call.timeout.as_millis()),
        ("v2", 700)
    );
    let of = |name: &str| call.headers.text(name);
    assert_eq!(of(":path"), Some("/v2/checkout/1"));
    assert_eq!(of(":authority"), Some("v2.internal"));
    assert_eq!(of("x-serinus-shadow"), Some("1"));
    assert_eq!((of("connection"), of("x-hop")), (None, None));
    assert_eq!(
        call.headers.names_with_prefix("x-serinus-"),
        ["x-serinus-shadow"]
    );
}

/// Ends of a call: what there is of its answer, and what is counted beside the call that was made.
fn ends() -> Vec<(Option<Response>, &'static [&'static str])> {
    const TERMINATED: &str = "upstream connect error or disconnect/reset before headers. \
        reset reason: connection termination";
    const REFUSED: &str = "upstream connect error or disconnect/reset before headers. \
        reset reason: remote connection failure";
    let overloaded = by_proxy(503, "").header("x-envoy-overloaded", "true");
    vec![
        (
            Some(upstream(json(BODY))),
            &["calls answered", "raw_pairs equal"],
        ),
        (
            Some(upstream(json(WORSE))),
            &["calls answered", "raw_pairs different"],
        ),
        (
            Some(upstream(Response::status(503))),
            &["calls answered", "raw_pairs different"],
        ),
        (None, &["calls reset", "raw_pairs different"]),
        (
            Some(by_proxy(503, TERMINATED)),
            &["calls failed", "raw_pairs different"],
        ),
        (
            Some(by_proxy(504, "upstream request timeout")),
            &["calls failed", "raw_pairs different"],
        ),
        (
            Some(by_proxy(503, REFUSED)),
            &["calls blocked", "not_compared blocked"],
        ),
        (
            Some(by_proxy(503, "no healthy upstream")),
            &["calls blocked", "not_compared blocked"],
        ),
        (Some(overloaded), &["calls blocked", "not_compared blocked"]),
    ]
}

#[test]
fn each_end_of_a_call_is_counted_as_what_it_was_before_or_after_the_request_ends() {
    for late in [true, false] {
        for (response, expected) in ends() {
            let (process, mut filter) = proxy(&policy(""));
            let (stream, _) = filter.open(&asked()).expect("an open stream");
            let token = pending(&filter).token;
            let end = |filter: &mut Filter| match &response {
                Some(response) => filter.answer(token, response),
                None => filter.reset(token),
            };
            if !late {
                end(&mut filter).expect("an end");
            }
            filter.respond(stream, &json(BODY)).expect("an answer");
            let outcome = filter.finish(stream).expect("an ended stream");
            let told = word(&outcome).expect("a word");
            if late {
                assert_eq!(told, "pending");
                end(&mut filter).expect("an end");
            } else {
                let (what, how) = expected[1].split_once(' ').expect("two words");
                let compared = if what == "raw_pairs" {
                    how
                } else {
                    "not-compared:blocked"
                };
                assert_eq!(told, compared);
            }
            let counted = counted(&process, &mut filter);
            // Where only the status is known, no body is compared.
            let mut counted: Vec<_> = counted
                .iter()
                .filter(|(name, _)| name != "bodies_not_compared checkout")
                .map(|(name, count)| {
                    assert_eq!(*count, 1, "{name}");
                    name.as_str()
                })
                .collect();
            counted.sort_unstable();
            assert_eq!(counted, expected, "late: {late}");
        }
    }
}

#[test]
fn a_call_that_the_host_refuses_is_told_at_once_and_takes_nothing_out_of_the_budget() {
    let lost = policy(r#", "maxInFlight": 1"#).replacen(r#""v2""#, r#""v3""#, 1);
    let (process, mut filter) = proxy(&lost);
    for _ in 0..3 {
        let outcome = filter.request(asked());
        assert_eq!(word(&outcome).as_deref(), Some("not-compared:not-sent"));
    }
    let expected = [("calls not-sent", 3), ("not_compared not-sent", 3)];
    let expected = expected.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(counted(&process, &mut filter), expected);
}

#[test]
fn answers_to_calls_that_are_not_known_say_nothing() {
    let (process, mut filter) = proxy(&policy(""));
    filter.request(asked());
    let call = pending(&filter);
    let answer = upstream(json(BODY));
    filter.answer(call.token, &answer).expect("an end");
    let before = counted(&process, &mut filter);
    for token in [call.token, 0, 999, u32::MAX] {
        let calls = filter
            .stray_answer(call.root, token, &answer)
            .expect("an end");
        assert_eq!(calls.total(), 0, "{calls}");
    }
    assert_eq!(counted(&process, &mut filter), before);
}

#[test]
fn a_copy_outlives_its_policy_for_as_long_as_a_request_of_that_policy_runs() {
    let (process, mut filter) = proxy(&policy(""));
    filter.request(asked());
    let token = pending(&filter).token;
    let (stream, _) = filter.open(&asked()).expect("an open stream");
    filter.configure(policy(r#", "maxInFlight": 3"#));
    filter
        .answer(token, &upstream(json(WORSE)))
        .expect("an end");
    filter.respond(stream, &json(BODY)).expect("an answer");
    filter.finish(stream).expect("an ended stream");
    assert_eq!(filter.http_calls(), [], "calls end with their root context");
    filter.request(asked());
    let token = pending(&filter).token;
    filter.answer(token, &upstream(json(BODY))).expect("an end");
    let counts = counted(&process, &mut filter);
    let of = |name: &str| {
        counts
            .iter()
            .find(|(of, _)| of == name)
            .map(|(_, count)| *count)
    };
    assert_eq!(
        (of("raw_pairs equal"), of("raw_pairs different")),
        (Some(1), Some(1))
    );
    assert_eq!(of("calls answered"), Some(2));
}

#[test]
fn a_policy_without_the_shadow_forgets_what_is_under_way() {
    let (process, mut filter) = proxy(&policy(""));
    filter.request(asked());
    let token = pending(&filter).token;
    let newer = filter.configure(unshadowed());
    assert_eq!(filter.http_calls(), []);
    filter
        .stray_answer(newer.root, token, &upstream(json(BODY)))
        .expect("an end");
    assert_eq!(word(&filter.request(asked())), None);
    counted(&process, &mut filter);
    assert_eq!(shadow(&mut filter), Value::Null);
}

#[test]
fn a_body_that_the_host_does_not_give_is_not_sent_and_not_compared() {
    let writes = policy(r#", "methods": ["POST", "GET"], "writes": "allow""#);
    for effect in Fault::effects("proxy_get_buffer_bytes") {
        let (process, mut filter) = proxy(&writes);
        filter.set_faults([Fault::every("proxy_get_buffer_bytes", effect.clone())]);
        let sent = asked().method("POST").body("{\"a\": 1}");
        let outcome = filter.request(sent);
        assert!(outcome.continued());
        assert_eq!(
            word(&outcome).as_deref(),
            Some("skipped:body"),
            "{effect:?}"
        );
        assert_eq!(filter.http_calls(), [], "{effect:?}");
        // Without a body in the request, both answers have one that can't be read.
        let outcome = filter.request(asked());
        assert_eq!(word(&outcome).as_deref(), Some("pending"), "{effect:?}");
        let token = pending(&filter).token;
        filter.answer(token, &upstream(json(BODY))).expect("an end");
        filter.set_faults([]);
        let counts = counted(&process, &mut filter);
        assert!(
            !counts.iter().any(|(name, _)| name == "raw_pairs different"),
            "{effect:?}: {counts:?}"
        );
        assert!(
            counts.contains(&("bodies_not_compared checkout".to_owned(), 1)),
            "{effect:?}: {counts:?}"
        );
    }
}

#[test]
fn a_request_that_has_all_of_its_length_is_copied_though_its_end_was_not_told() {
    let writes = policy(r#", "methods": ["POST"], "writes": "allow""#);
    for (length, body, expected) in [
        (Some("2"), "{}", "pending"),
        (Some("0"), "", "pending"),
        (Some("3"), "{}", "not-compared:primary"),
        (Some("x"), "{}", "not-compared:primary"),
        (None, "{}", "not-compared:primary"),
    ] {
        let (_, mut filter) = proxy(&writes);
        let mut request = asked().method("POST").body(body).unended();
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let outcome = filter.request(request);
        assert_eq!(word(&outcome).as_deref(), Some(expected), "{length:?}");
        let sent = filter.http_calls().iter().map(|call| call.body.as_slice());
        let expected = [body.as_bytes()];
        match word(&outcome).as_deref() {
            Some("pending") => assert!(sent.eq(expected), "{length:?}"),
            _ => assert_eq!(sent.count(), 0, "{length:?}"),
        }
    }
}

#[test]
fn a_call_that_never_ends_frees_its_place_in_the_end() {
    let (process, mut filter) = proxy(&policy(r#", "maxInFlight": 1, "timeout": "1s""#));
    filter.request(asked());
    assert_eq!(
        word(&filter.request(asked())).as_deref(),
        Some("skipped:in-flight")
    );
    beats(&process, [&mut filter], 4 * 33);
    assert_eq!(word(&filter.request(asked())).as_deref(), Some("pending"));
    let counts = counted(&process, &mut filter);
    assert!(
        counts.contains(&("not_compared expired".to_owned(), 1)),
        "{counts:?}"
    );
}

#[test]
fn trailers_of_both_answers_are_compared() {
    for (status, expected) in [("0", "equal"), ("13", "different")] {
        let (process, mut filter) = proxy(&policy(""));
        let grpc = |status: &str| {
            let response = Response::status(200).header("content-type", "application/grpc");
            response.body("\0\0\0\0\0").trailer("grpc-status", status)
        };
        filter.request(asked().answered(grpc("0")));
        let token = pending(&filter).token;
        filter
            .answer(token, &upstream(grpc(status)))
            .expect("an end");
        let counts = counted(&process, &mut filter);
        let pair = (format!("raw_pairs {expected}"), 1);
        assert!(counts.contains(&pair), "{status}: {counts:?}");
    }
}

#[test]
fn a_line_of_the_log_tells_what_differs_without_the_values_unless_the_policy_reveals_them() {
    for (reveal, shown) in [("", false), (r#", "revealPaths": ["/price"]"#, true)] {
        let (process, mut filter) = proxy(&policy(reveal));
        filter.set_log_level(LogLevel::Debug);
        beats(&process, [&mut filter], 4);
        filter.take_logs();
        filter.request(asked());
        let token = pending(&filter).token;
        filter
            .answer(token, &upstream(json(WORSE)))
            .expect("an end");
        let lines = filter.take_logs();
        let [line] = &lines[..] else {
            panic!("{lines:#?}");
        };
        assert_eq!(line.level, LogLevel::Debug);
        assert!(
            line.text.contains("checkout: path=/price kind=value"),
            "{line:?}"
        );
        assert_eq!(line.text.contains("18"), shown, "{line:?}");
    }
}

#[test]
fn the_document_tells_the_paths_that_differed() {
    let (process, mut filter) = proxy(&policy(""));
    for body in [BODY, WORSE, WORSE] {
        filter.request(asked());
        let token = pending(&filter).token;
        filter.answer(token, &upstream(json(body))).expect("an end");
    }
    counted(&process, &mut filter);
    let shadow = shadow(&mut filter);
    let compared = &shadow["compared"];
    assert_eq!(
        (&shadow["sent"], &compared["raw"]["different"]),
        (&3.into(), &2.into())
    );
    let path = &compared["paths"][0];
    assert_eq!(
        (&path["path"], &path["kind"]),
        (&"/price".into(), &"value".into())
    );
}

#[test]
fn foreign_bytes_in_place_of_what_was_counted_are_absent() {
    let (process, mut filter) = proxy(&policy(""));
    let copy = |filter: &mut Filter| {
        filter.request(asked());
        let token = pending(filter).token;
        filter
            .answer(token, &upstream(json(WORSE)))
            .expect("an end");
    };
    copy(&mut filter);
    counted(&process, &mut filter);
    let keys = process.shared_keys();
    let key = keys
        .iter()
        .find(|key| key.starts_with("shop.shadow."))
        .expect("a key");
    let sound = process.shared_data(key).expect("a value");
    for bytes in foreign(&sound) {
        process.put_shared_data(key, &bytes);
        document(&mut filter);
        copy(&mut filter);
        beats(&process, [&mut filter], 5);
        let counted = shadow(&mut filter)["compared"]["raw"]["different"].clone();
        assert!(counted == 1 || counted == 2, "{counted}");
        process.put_shared_data(key, &sound);
    }
}

#[test]
fn two_workers_count_as_one() {
    let (process, first) = proxy(&policy(""));
    let mut workers = [first, worker_of(&process, &policy(""))];
    for filter in &mut workers {
        for body in [BODY, WORSE] {
            filter.request(asked());
            let token = pending(filter).token;
            filter.answer(token, &upstream(json(body))).expect("an end");
        }
    }
    beats(&process, &mut workers, 5);
    let [filter, _] = &mut workers;
    let raw = shadow(filter)["compared"]["raw"].clone();
    assert_eq!(raw, serde_json::json!({"equal": 2, "different": 2}));
    let counts = told(&process);
    assert!(
        counts.contains(&("raw_pairs equal".to_owned(), 2)),
        "{counts:?}"
    );
}
