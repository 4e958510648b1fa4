//! A wall clock that stands, jumps or tells nonsense costs latencies and no counts.

use std::time::Duration;

use serinus_host_tests::process::START;
use serinus_host_tests::{Filter, Process, Response};

use crate::policies::COUNTED;
use crate::{beats, document, ledger, of_caller, outcomes, series, worker_of};

/// A number of nanoseconds that is negative to who reads it with a sign.
const NEGATIVE: Duration = Duration::from_nanos(u64::MAX - 5);
const FARTHEST: Duration = Duration::from_nanos(i64::MAX as u64);

fn counts(process: &Process, filter: &mut Filter) -> [u64; 2] {
    let sides = ["stable", "canary"];
    let sum = |counts: Vec<(String, u64)>| counts.iter().map(|(_, count)| count).sum::<u64>();
    let metrics = sides.map(|side| sum(outcomes(process, side)));
    let ledger = sides.map(|side| sum(ledger(filter, side)));
    [metrics.iter().sum(), ledger.iter().sum()]
}

/// Latencies that the proxy was told, of both sides.
fn latencies(process: &Process) -> Vec<u64> {
    let of = |side| process.samples(&series(side, "", "serinus_request_duration_milliseconds"));
    [of("stable"), of("canary")]
        .into_iter()
        .flatten()
        .flatten()
        .collect()
}

#[test]
fn any_times_in_any_order_lose_no_count() {
    let times = [
        START,
        NEGATIVE,
        Duration::ZERO,
        FARTHEST,
        START,
        Duration::from_nanos(1),
        Duration::from_nanos(u64::MAX),
        START * 2,
        START - Duration::from_secs(86_400 * 400),
        START + Duration::from_millis(1),
        START,
    ];
    let process = Process::new();
    let mut workers = [worker_of(&process, COUNTED), worker_of(&process, COUNTED)];
    let mut sent = 0;
    for now in times {
        for filter in &mut workers {
            process.set_time(now);
            filter.request(of_caller(sent));
            let (stream, _) = filter.open(&of_caller(sent)).expect("an open stream");
            process.set_time(START + Duration::from_secs(u64::from(sent)));
            filter
                .respond(stream, &Response::status(200))
                .expect("an answer");
            filter.finish(stream).expect("an end");
            sent += 2;
            for _ in 0..3 {
                process.set_time(now);
                filter.tick();
                document(filter);
            }
        }
    }
    process.set_time(START + Duration::from_secs(9_999));
    beats(&process, &mut workers, 8);
    let [first, _] = &mut workers;
    assert_eq!(counts(&process, first), [u64::from(sent); 2]);
}

#[test]
fn a_request_that_a_step_of_the_clock_fell_into_counts_without_a_latency() {
    for step in [
        Duration::ZERO,
        START - Duration::from_secs(1),
        START * 2,
        NEGATIVE,
    ] {
        let process = Process::new();
        let mut filter = worker_of(&process, COUNTED);
        let (stream, _) = filter.open(&of_caller(1)).expect("an open stream");
        process.set_time(step);
        filter
            .respond(stream, &Response::status(200))
            .expect("an answer");
        filter.finish(stream).expect("an end");
        process.set_time(START + Duration::from_secs(5));
        beats(&process, [&mut filter], 4);
        assert_eq!(counts(&process, &mut filter), [1, 1], "{step:?}");
        let told = latencies(&process);
        assert!(told.is_empty(), "{step:?}: {told:?}");
    }
}

#[test]
fn a_latency_is_what_the_clock_says_within_two_percent() {
    for millis in [1_u64, 40, 750, 9_000] {
        let process = Process::new();
        let mut filter = worker_of(&process, COUNTED);
        let (stream, _) = filter.open(&of_caller(1)).expect("an open stream");
        process.advance(Duration::from_millis(millis));
        filter
            .respond(stream, &Response::status(200))
            .expect("an answer");
        filter.finish(stream).expect("an end");
        beats(&process, [&mut filter], 4);
        let told = latencies(&process);
        let off = told[0].abs_diff(millis);
        assert!(
            told.len() == 1 && off <= millis.div_ceil(50),
            "{millis}: {told:?}"
        );
    }
}

#[test]
fn counts_wait_while_the_clock_stands_and_come_when_it_goes_on() {
    let process = Process::new();
    let mut filter = worker_of(&process, COUNTED);
    filter.tick();
    for n in 0..50 {
        filter.request(of_caller(n));
        filter.tick();
    }
    assert_eq!(counts(&process, &mut filter), [0, 0]);
    beats(&process, [&mut filter], 4);
    assert_eq!(counts(&process, &mut filter), [50, 50]);
    assert_eq!(latencies(&process).len(), 50);
}

#[test]
fn a_watcher_is_found_again_after_the_clock_was_set_back() {
    let process = Process::new();
    let mut workers = [worker_of(&process, COUNTED), worker_of(&process, COUNTED)];
    process.set_time(START * 3);
    beats(&process, &mut workers, 8);
    process.set_time(START);
    let age = "serinus_policy_age_seconds";
    beats(&process, &mut workers, 24);
    let before = process.metric(age).expect("a gauge");
    beats(&process, &mut workers, 20);
    let after = process.metric(age).expect("a gauge");
    assert_eq!(after - before, 5, "the gauge follows the clock again");
}
