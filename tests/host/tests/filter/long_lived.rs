//! What becomes of streams that are under way when the gate of their variant shuts.

use std::time::Duration;

use serinus_host_tests::{Filter, Process, Request, Response};

use crate::policies::judged;
use crate::shop::{FAILING, GOOD, Shop};
use crate::{beats, of_caller, outcomes, series, worker_of};

const CUT: &str = r#""longLived": "cut""#;
/// A gate that a person shut, and nothing else of the policy is new.
const SHUT: &str = r#""longLived": "cut", "held": "shut""#;
const SOON: Duration = Duration::from_secs(1);
const CLOSE: &str = "proxy_close_stream";

/// A caller whom half of all slots give the canary.
fn caller() -> Request {
    of_caller(5)
}

fn upgrade(request: Request) -> Request {
    request.header("upgrade", "websocket")
}

/// A stream whose answer has begun.
fn open(filter: &mut Filter, request: &Request, status: u16) -> u32 {
    let (id, _) = filter.open(request).expect("a stream");
    let response = Response::status(status).body("begun").cut("", 0);
    filter.respond(id, &response).expect("an answer");
    id
}

#[track_caller]
fn goes_on(filter: &mut Filter, id: u32) -> bool {
    let up = filter.goes_by(id, true, b"up").expect("no trap");
    up && filter.goes_by(id, false, b"down").expect("no trap")
}

/// How many streams of the canary were cut, as the proxy counts.
fn cut(process: &Process) -> Option<u64> {
    process.metric(&series("canary", "", "serinus_streams_cut_total"))
}

/// A worker with a gate that goes by `before`, streams of these requests, and `after` the gate's
/// new settings have been obeyed.
fn through(
    before: &str,
    after: &str,
    requests: &[(Request, u16)],
    lasting: Duration,
) -> (Process, Filter, Vec<u32>) {
    let process = Process::new();
    let mut filter = worker_of(&process, &judged(before));
    let streams: Vec<u32> = requests
        .iter()
        .map(|(request, status)| open(&mut filter, request, *status))
        .collect();
    let beats_of = u32::try_from(lasting.as_millis() / 250).expect("few beats");
    beats(&process, [&mut filter], beats_of);
    assert!(streams.iter().all(|id| goes_on(&mut filter, *id)));
    assert!(filter.configure(judged(after)).accepted);
    beats(&process, [&mut filter], 8);
    (process, filter, streams)
}

#[test]
fn a_websocket_is_ended_at_its_next_bytes_once_the_gate_is_shut_and_counts_for_neither_side() {
    let sockets = [(upgrade(caller()), 101), (upgrade(of_caller(0)), 101)];
    let (process, mut filter, streams) = through(CUT, SHUT, &sockets, SOON);
    assert_eq!(cut(&process), Some(0));
    let [of_canary, of_stable] = streams[..] else {
        panic!("two streams")
    };
    assert!(!filter.goes_by(of_canary, false, b"ping").expect("no trap"));
    assert!(goes_on(&mut filter, of_stable));
    let outcome = filter.finish(of_canary).expect("no trap");
    assert!(outcome.closed);
    assert_eq!(outcome.calls.count(CLOSE), 1);
    assert!(!filter.finish(of_stable).expect("no trap").closed);
    beats(&process, [&mut filter], 8);
    assert_eq!(cut(&process), Some(1));
    assert_eq!(outcomes(&process, "canary"), [("aborted".to_owned(), 1)]);
    assert_eq!(outcomes(&process, "stable"), [("ok".to_owned(), 1)]);
}

#[test]
fn what_lasts_is_ended_after_a_minute_and_what_is_shorter_never() {
    let requests = [(caller(), 200), (caller().method("POST"), 200)];
    for (lasting, ended) in [(50, false), (61, true)] {
        let lasting = Duration::from_secs(lasting);
        let (_, mut filter, streams) = through(CUT, SHUT, &requests, lasting);
        for id in streams {
            assert_eq!(!goes_on(&mut filter, id), ended, "{lasting:?}");
            assert_eq!(filter.finish(id).expect("no trap").closed, ended);
        }
    }
}

#[test]
fn a_handshake_that_was_refused_is_no_tunnel() {
    let refused = [(upgrade(caller()), 403)];
    let (_, mut filter, streams) = through(CUT, SHUT, &refused, SOON);
    assert!(goes_on(&mut filter, streams[0]));
}

#[test]
fn streams_stay_where_the_policy_keeps_them_or_the_gate_is_open() {
    let keep = r#""longLived": "keep", "held": "shut""#;
    for (before, after) in [
        ("", r#""held": "shut""#),
        (r#""longLived": "keep""#, keep),
        (CUT, CUT),
        (CUT, r#""longLived": "cut", "held": "open""#),
        // A new revision is another canary: it says nothing of the one before.
        (
            CUT,
            r#""longLived": "cut", "held": "shut", "revision": "2""#,
        ),
    ] {
        let sockets = [(upgrade(caller()), 101)];
        let lasting = Duration::from_secs(61);
        let (process, mut filter, streams) = through(before, after, &sockets, lasting);
        assert!(goes_on(&mut filter, streams[0]), "{before} {after}");
        let outcome = filter.finish(streams[0]).expect("no trap");
        assert_eq!(outcome.calls.count(CLOSE), 0);
        let counts = before == CUT || after.contains("cut");
        assert_eq!(cut(&process), counts.then_some(0));
    }
}

#[test]
fn who_is_sent_past_the_gate_is_left_alone() {
    let rules = r#""rules": [{"name": "testers", "when": [{"header": "x-tester", "present": true}],
        "then": {"variant": "canary", "evenShut": true}}], "variants":"#;
    let policy = |gate: &str| judged(gate).replacen("\"variants\":", rules, 1);
    let process = Process::new();
    let mut filter = worker_of(&process, &policy(CUT));
    let socket = upgrade(caller().header("x-tester", "1"));
    let id = open(&mut filter, &socket, 101);
    assert!(filter.configure(policy(SHUT)).accepted);
    beats(&process, [&mut filter], 8);
    assert!(goes_on(&mut filter, id));
}

#[test]
fn a_filter_that_observes_ends_nothing() {
    let policy = |gate: &str| judged(gate).replacen('{', r#"{"mode": "observe", "#, 1);
    let process = Process::new();
    let mut filter = worker_of(&process, &policy(CUT));
    let id = open(&mut filter, &upgrade(caller()), 101);
    assert!(filter.configure(policy(SHUT)).accepted);
    beats(&process, [&mut filter], 8);
    assert!(goes_on(&mut filter, id));
}

#[test]
fn a_gate_that_shuts_for_errors_ends_the_streams_of_all_workers() {
    let mut shop = Shop::new(3, &judged(CUT));
    shop.seconds(4, GOOD);
    let open: Vec<u32> = shop
        .workers
        .iter_mut()
        .map(|filter| open(filter, &upgrade(caller()), 101))
        .collect();
    shop.beats_until("shut", 24, FAILING);
    shop.seconds(1, GOOD);
    for (filter, id) in shop.workers.iter_mut().zip(open) {
        assert!(!filter.goes_by(id, true, b"hello").expect("no trap"));
        filter.finish(id).expect("no trap");
    }
    shop.seconds(2, GOOD);
    assert_eq!(cut(&shop.process), Some(3));
}

#[test]
fn while_the_gate_is_open_no_byte_costs_a_host_call() {
    let sockets = [(upgrade(caller()), 101)];
    let (_, mut filter, streams) = through(CUT, CUT, &sockets, SOON);
    for _ in 0..100 {
        assert!(goes_on(&mut filter, streams[0]));
    }
    let calls = filter.finish(streams[0]).expect("no trap").calls;
    use serinus_host_tests::Callback::{RequestBody, ResponseBody};
    assert_eq!(calls.during(RequestBody).total(), 0);
    assert_eq!(calls.during(ResponseBody).total(), 0);
}
