//! What the end of a request costs in host calls, and that it is counted once, as what it was.

use serinus_host_tests::{Callback, Calls, Effect, Fault, Outcome, Process, Request, Response};

use crate::policies::{CANARY_UNLOGGED, COUNTED, EVERY_HOST_CALL, counted_with_report};
use crate::{beats, of_caller, outcomes, worker, worker_of};

const CLOCK: &str = "proxy_get_current_time_nanoseconds";
const PROPERTY: &str = "proxy_get_property";

/// Flags of Envoy.
const UPSTREAM_TIMEOUT: u64 = 1 << 2;
const UPSTREAM_RESET: u64 = 1 << 4;
const CONNECT_FAILURE: u64 = 1 << 5;
const OVERFLOW: u64 = 1 << 7;

/// The calls at the end of a request.
fn end(policy: &str, request: Request) -> Calls {
    worker(policy).request(request).calls.during(Callback::Log)
}

fn subjects(calls: &Calls) -> Vec<&str> {
    let of_properties = calls.iter().filter(|call| call.function == PROPERTY);
    of_properties.map(|call| call.subject.as_str()).collect()
}

/// What the proxy counted after a second, of both sides together.
fn counted(request: &Request) -> (Calls, Vec<(String, u64)>) {
    let process = Process::new();
    let mut filter = worker_of(&process, COUNTED);
    let calls = filter.request(request.clone()).calls.during(Callback::Log);
    beats(&process, [&mut filter], 4);
    let mut counts = outcomes(&process, "stable");
    counts.extend(outcomes(&process, "canary"));
    (calls, counts)
}

#[test]
fn a_whole_good_answer_costs_the_clock_its_status_and_its_attempts() {
    let answers = [
        Response::status(200),
        Response::status(200).body("text"),
        Response::status(200).body("text").trailer("x-sum", "1"),
        Response::status(304),
    ];
    for answer in answers {
        let ended = end(COUNTED, of_caller(1).answered(answer));
        let asked = ["response.code", "upstream.request_attempt_count"];
        assert_eq!(subjects(&ended), asked, "{ended}");
        assert_eq!(ended.count(CLOCK), 1, "{ended}");
        assert_eq!(ended.total(), 3, "{ended}");
    }
}

#[test]
fn counting_a_good_answer_adds_four_calls_to_a_request_and_one_is_the_clock_at_its_start() {
    let outcome = worker(COUNTED).request(of_caller(1));
    let early = outcome.calls.during(Callback::RequestHeaders);
    assert_eq!(early.count(CLOCK), 1, "{early}");
    let ended = outcome.calls.during(Callback::Log);
    assert_eq!(ended.table(), [(CLOCK, 1), (PROPERTY, 2)], "{ended}");
    assert_eq!(early.total() + ended.total(), outcome.calls.total());
}

#[test]
fn each_thing_to_report_costs_its_calls() {
    let cost = |report: &str| end(&counted_with_report(report), of_caller(1)).total();
    let least = cost(r#"{"accessLog": false, "hosts": false}"#);
    assert_eq!(least, 3);
    assert_eq!(cost(r#"{"accessLog": false}"#), least + 1);
    assert_eq!(cost(r#"{"accessLog": false, "hosts": true}"#), least + 1);
    let bytes = r#"{"accessLog": false, "hosts": false, "bytes": true}"#;
    assert_eq!(cost(bytes), least + 2);
    assert_eq!(cost(r#"{"hosts": false}"#), least + 1);
    assert_eq!(cost(r#"{"bytes": true}"#), least + 4, "all of it");
}

#[test]
fn no_request_touches_a_metric_or_shared_data() {
    let requests = [
        of_caller(1),
        of_caller(2).aborted(),
        of_caller(3).answered(Response::status(503)),
        Request::get("/old/app"),
        Request::get("/elsewhere"),
    ];
    for policy in [COUNTED, CANARY_UNLOGGED, EVERY_HOST_CALL] {
        let mut filter = worker(policy);
        for request in &requests {
            let calls = filter.request(request.clone()).calls;
            let wrong = calls
                .iter()
                .find(|call| call.function.contains("metric") || call.function.contains("shared"));
            assert_eq!(wrong, None);
        }
    }
}

/// Answers that were cut short or failed, and what they are counted as.
fn failures() -> Vec<(Option<Response>, &'static str)> {
    let by_proxy =
        |status, details: &str, flags| Some(Response::status(status).by_proxy(details, flags));
    let began = || Response::status(200).body("beg");
    vec![
        (None, "aborted"),
        (Some(Response::status(500)), "error_status"),
        (
            by_proxy(
                503,
                "upstream_reset_before_response_started{remote_connection_failure}",
                CONNECT_FAILURE,
            ),
            "error_connect",
        ),
        (
            by_proxy(
                503,
                "upstream_reset_before_response_started{remote_reset}",
                UPSTREAM_RESET,
            ),
            "error_reset_before",
        ),
        (
            by_proxy(504, "response_timeout", UPSTREAM_TIMEOUT),
            "error_timeout",
        ),
        (
            by_proxy(503, "no_healthy_upstream", 1 << 1),
            "error_no_host",
        ),
        (
            by_proxy(
                503,
                "upstream_reset_before_response_started{overflow}",
                OVERFLOW,
            ),
            "error_overload",
        ),
        (
            by_proxy(403, "rbac_access_denied_matched_policy[none]", 0),
            "refused",
        ),
        (
            Some(began().cut(
                "upstream_reset_after_response_started{remote_reset}",
                UPSTREAM_RESET,
            )),
            "error_reset_after",
        ),
        (
            Some(began().cut("downstream_remote_disconnect", 1 << 14)),
            "aborted",
        ),
    ]
}

#[test]
fn an_answer_that_was_cut_short_or_failed_costs_at_most_two_calls_more_and_counts_once() {
    for (response, outcome) in failures() {
        let request = of_caller(1).aborted();
        let request = match response {
            Some(response) => request.answered(response),
            None => request,
        };
        let (calls, counts) = counted(&request);
        assert!(calls.total() <= 5, "{outcome}: {calls}");
        assert_eq!(counts, [(outcome.to_owned(), 1)], "{calls}");
    }
}

#[test]
fn one_who_has_no_key_costs_an_address_more_where_it_matters_to_the_gate() {
    let failed = Request::get("/checkout").answered(Response::status(500));
    let calls = end(COUNTED, failed);
    assert_eq!(calls.total(), 6, "{calls}");
    assert!(subjects(&calls).contains(&"source.address"), "{calls}");
    let good = end(COUNTED, Request::get("/checkout"));
    assert_eq!(good.total(), 3, "{good}");
}

#[test]
fn a_key_that_came_with_the_answer_says_nothing_of_who_sent_a_canary_request() {
    const ISSUING: &str = r#"{"report": {"accessLog": false, "hosts": false}, "routes": [
        {"name": "checkout", "key": [{"issueCookie": "serinus"}],
        "variants": [{"name": "canary", "share": "100%"}]}]}"#;
    let calls = end(ISSUING, Request::get("/checkout"));
    assert_eq!(calls.total(), 4, "{calls}");
    assert!(subjects(&calls).contains(&"source.address"), "{calls}");
    let back =
        Request::get("/checkout").header("cookie", "serinus=0123456789abcdef0123456789abcdef");
    assert_eq!(end(ISSUING, back).total(), 3);
}

#[test]
fn an_answer_of_grpc_costs_one_call_more_for_its_status() {
    let grpc = || of_caller(1).header("content-type", "application/grpc");
    for (status, outcome) in [
        ("0", "ok"),
        ("5", "ok"),
        ("14", "error_grpc"),
        ("x", "error_grpc"),
    ] {
        let answer = Response::status(200)
            .body("msg")
            .trailer("grpc-status", status);
        let (calls, counts) = counted(&grpc().answered(answer));
        assert_eq!(calls.total(), 4, "{calls}");
        assert_eq!(counts, [(outcome.to_owned(), 1)], "{status}");
        let trailers_only = Response::status(200).header("grpc-status", status);
        let (_, counts) = counted(&grpc().answered(trailers_only));
        assert_eq!(counts, [(outcome.to_owned(), 1)], "{status}, trailers only");
    }
}

#[test]
fn an_answer_of_this_filter_costs_only_the_clock_and_what_is_to_be_reported() {
    let calls = end(EVERY_HOST_CALL, Request::get("/old/app"));
    assert_eq!(
        subjects(&calls),
        ["request.total_size", "response.total_size"]
    );
    let others = [(CLOCK, 1), (PROPERTY, 2), ("proxy_set_property", 1)];
    assert_eq!(calls.table(), others, "{calls}");
}

#[test]
fn access_logs_are_told_the_outcome() {
    for (response, outcome) in failures() {
        let request = of_caller(1).aborted();
        let request = match response {
            Some(response) => request.answered(response),
            None => request,
        };
        let Outcome { filter_state, .. } = worker(&counted_with_report("{}")).request(request);
        let told = String::from_utf8_lossy(&filter_state["serinus"]).into_owned();
        assert!(told.ends_with(&format!(" outcome={outcome}")), "{told}");
    }
}

#[test]
fn a_status_that_is_none_is_an_error_of_the_version() {
    for status in [0, 99, 600, u64::from(u32::MAX), 1 << 63, u64::MAX] {
        let code = status.to_le_bytes();
        let answer = Response::status(200).property(&["response", "code"], code);
        let (_, counts) = counted(&of_caller(1).answered(answer));
        assert_eq!(counts, [("error_status".to_owned(), 1)], "{status}");
    }
    for (status, outcome) in [(100, "ok"), (101, "ok"), (599, "error_status")] {
        let (_, counts) = counted(&of_caller(1).answered(Response::status(status)));
        assert_eq!(counts, [(outcome.to_owned(), 1)], "{status}");
    }
}

#[test]
fn a_property_that_is_no_number_does_no_harm() {
    let paths = [
        ["response", "code"],
        ["response", "flags"],
        ["response", "grpc_status"],
        ["upstream", "request_attempt_count"],
        ["request", "total_size"],
        ["response", "total_size"],
    ];
    for path in paths {
        for bytes in [&b""[..], b"1", b"1234567", &[0xff; 9], &[b'9'; 10_000]] {
            let process = Process::new();
            let mut filter = worker_of(&process, &counted_with_report(r#"{"bytes": true}"#));
            let answer = Response::status(503).property(&path, bytes);
            let request = of_caller(1).header("content-type", "application/grpc");
            filter.request(request.answered(answer));
            beats(&process, [&mut filter], 4);
            let all = outcomes(&process, "stable").len() + outcomes(&process, "canary").len();
            assert_eq!(all, 1, "{path:?} {} bytes", bytes.len());
        }
    }
}

#[test]
fn upstream_addresses_may_be_anything() {
    let long = vec![b'/'; 10_000];
    let addresses: [&[u8]; 6] = [
        b"10.0.0.7:8080",
        b"[2001:db8::1]:80",
        b"/run/shop/app.sock",
        b"\xff\xfe\"\0\n",
        b"",
        &long,
    ];
    let process = Process::new();
    let mut filter = worker_of(&process, &counted_with_report("{}"));
    for address in addresses {
        let answer = Response::status(200).from(address);
        filter.request(of_caller(1).answered(answer));
    }
    beats(&process, [&mut filter], 4);
    let document = crate::document(&mut filter);
    let variants = document["routes"][0]["variants"]
        .as_array()
        .expect("variants");
    let hosts = variants
        .iter()
        .filter_map(|variant| variant["hosts"].as_array());
    let hosts: Vec<&str> = hosts
        .flatten()
        .filter_map(|host| host["address"].as_str())
        .collect();
    for known in ["10.0.0.7:8080", "[2001:db8::1]:80", "/run/shop/app.sock"] {
        assert!(hosts.contains(&known), "{hosts:?}");
    }
    assert_eq!(hosts.len(), 5, "no address is no host: {hosts:?}");
    assert!(hosts.iter().all(|host| host.len() <= 128), "{hosts:?}");
}

#[test]
fn a_property_that_fails_in_any_place_is_counted_and_the_request_counts_once() {
    let policy = counted_with_report(r#"{"bytes": true}"#);
    let answers = [Response::status(200), Response::status(500)];
    for (answer, keyed) in answers
        .iter()
        .flat_map(|answer| [(answer, true), (answer, false)])
    {
        for n in 1..=10 {
            let process = Process::new();
            let mut filter = worker_of(&process, &policy);
            let request = if keyed {
                of_caller(1)
            } else {
                Request::get("/checkout")
            };
            let request = request.header("content-type", "application/grpc");
            let (stream, _) = filter.open(&request).expect("an open stream");
            filter.respond(stream, answer).expect("an answer");
            filter.set_faults([Fault::nth(PROPERTY, n, Effect::Status(10))]);
            let calls = filter.finish(stream).expect("an end").calls;
            filter.set_faults([]);
            beats(&process, [&mut filter], 4);
            let all = outcomes(&process, "stable").len() + outcomes(&process, "canary").len();
            assert_eq!(all, 1, "property {n}: {calls}");
            let asked = calls.during(Callback::Log).count(PROPERTY);
            let errors = process.metric("serinus_host_errors_total");
            assert_eq!(errors, Some((n <= asked).into()), "property {n}: {calls}");
        }
    }
}

#[test]
fn attempts_and_bytes_are_added_up() {
    let process = Process::new();
    let mut filter = worker_of(&process, &counted_with_report(r#"{"bytes": true}"#));
    let size = |bytes: u64| bytes.to_le_bytes();
    for (attempts, bytes) in [(1, 100), (3, 1_000)] {
        let answer = Response::status(200)
            .attempts(attempts)
            .property(&["request", "total_size"], size(bytes))
            .property(&["response", "total_size"], size(bytes * 7));
        filter.request(of_caller(1).answered(answer));
    }
    beats(&process, [&mut filter], 4);
    let sum = |metric: &str| {
        let of = |variant| {
            process
                .metric(&crate::series(variant, "", metric))
                .expect("a series")
        };
        of("stable") + of("canary")
    };
    assert_eq!(sum("serinus_attempts_total"), 4);
    assert_eq!(sum("serinus_received_bytes_total"), 1_100);
    assert_eq!(sum("serinus_sent_bytes_total"), 7_700);
}
