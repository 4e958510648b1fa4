//! Metrics and the ledger get the same counts, each request once, whatever shared data does.

use serinus_host_tests::{Effect, Fault, Filter, Process, Request, Response};

use crate::policies::{COUNTED, counted_with_share};
use crate::{beats, ledger, of_caller, outcomes, requests, worker_of};

const SET_SHARED: &str = "proxy_set_shared_data";
const CAS_MISMATCH: Effect = Effect::Status(8);
const REFUSED: Effect = Effect::Status(10);

/// Of both sides: what the proxy counted, and the ledger by the document of `filter`.
fn both(process: &Process, filter: &mut Filter) -> [Vec<Vec<(String, u64)>>; 2] {
    let sides = ["stable", "canary"];
    let metrics = sides.map(|side| outcomes(process, side)).into();
    [metrics, sides.map(|side| ledger(filter, side)).into()]
}

fn sum(sides: &[Vec<(String, u64)>]) -> u64 {
    sides.iter().flatten().map(|(_, count)| count).sum()
}

/// Good and bad answers to different callers.
fn traffic(filter: &mut Filter, count: u32) {
    for n in 0..count {
        let answer = match n % 4 {
            0 => Response::status(500),
            _ => Response::status(200),
        };
        filter.request(of_caller(n).answered(answer));
    }
}

#[test]
fn metrics_and_the_ledger_get_the_same_counts_of_several_workers() {
    let process = Process::new();
    let mut workers: Vec<Filter> = (0..4).map(|_| worker_of(&process, COUNTED)).collect();
    for round in 1..=5_u64 {
        workers.iter_mut().for_each(|filter| traffic(filter, 12));
        beats(&process, &mut workers, 4);
        for filter in &mut workers {
            let [metrics, ledger] = both(&process, filter);
            assert_eq!(metrics, ledger);
            assert_eq!(sum(&metrics), round * 48);
        }
    }
    assert_eq!(process.metric("serinus_dropped_total"), Some(0));
}

#[test]
fn writes_that_others_were_quicker_at_lose_nothing_and_count_nothing_twice() {
    for n in 1..=9 {
        let process = Process::new();
        let mut workers = [worker_of(&process, COUNTED), worker_of(&process, COUNTED)];
        for _ in 0..4 {
            for filter in &mut workers {
                traffic(filter, 5);
                filter.set_faults([Fault::nth(SET_SHARED, n, CAS_MISMATCH)]);
            }
            beats(&process, &mut workers, 4);
        }
        let [first, _] = &mut workers;
        let [metrics, ledger] = both(&process, first);
        assert_eq!(metrics, ledger, "write {n}");
        assert_eq!(sum(&metrics), 40, "write {n}");
    }
}

#[test]
fn counts_wait_while_every_write_is_beaten_and_come_when_one_is_not() {
    let process = Process::new();
    let mut filter = worker_of(&process, COUNTED);
    filter.set_faults([Fault::every(SET_SHARED, CAS_MISMATCH)]);
    for _ in 0..3 {
        traffic(&mut filter, 4);
        beats(&process, [&mut filter], 4);
    }
    let [metrics, ledger] = both(&process, &mut filter);
    assert_eq!((sum(&metrics), sum(&ledger)), (0, 0), "both or neither");
    filter.set_faults([]);
    beats(&process, [&mut filter], 4);
    let [metrics, ledger] = both(&process, &mut filter);
    assert_eq!(metrics, ledger);
    assert_eq!(sum(&metrics), 12);
    assert_eq!(process.metric("serinus_dropped_total"), Some(0));
}

#[test]
fn shared_data_that_takes_nothing_is_told_and_metrics_count_on() {
    for (function, effect) in [
        (SET_SHARED, REFUSED),
        ("proxy_get_shared_data", REFUSED),
        ("proxy_get_shared_data", Effect::Status(77)),
    ] {
        let process = Process::new();
        let mut filter = worker_of(&process, COUNTED);
        filter.set_faults([Fault::every(function, effect)]);
        for _ in 0..3 {
            traffic(&mut filter, 4);
            beats(&process, [&mut filter], 4);
        }
        filter.set_faults([]);
        let [metrics, ledger] = both(&process, &mut filter);
        assert_eq!((sum(&metrics), sum(&ledger)), (12, 0), "{function}");
        let dropped = process.metric("serinus_dropped_total");
        assert!(dropped >= Some(3), "{function}: {dropped:?}");
        traffic(&mut filter, 4);
        beats(&process, [&mut filter], 4);
        let [_, ledger] = both(&process, &mut filter);
        assert_eq!(sum(&ledger), 4, "it counts again when it can: {function}");
    }
}

#[test]
fn a_request_that_outlives_its_policy_counts_with_its_end() {
    let process = Process::new();
    let mut filter = worker_of(&process, COUNTED);
    let (stream, _) = filter.open(&of_caller(1)).expect("an open stream");
    filter.configure(counted_with_share("0%"));
    beats(&process, [&mut filter], 8);
    assert_eq!(sum(&both(&process, &mut filter)[0]), 0);
    filter
        .respond(stream, &Response::status(500))
        .expect("an answer");
    filter.finish(stream).expect("an end");
    let [metrics, ledger] = both(&process, &mut filter);
    assert_eq!(metrics, ledger, "without a further tick");
    assert_eq!(sum(&metrics), 1);
}

#[test]
fn a_route_that_is_gone_still_counts_what_it_took() {
    let process = Process::new();
    let mut filter = worker_of(&process, COUNTED);
    let (stream, _) = filter.open(&of_caller(1)).expect("an open stream");
    filter.configure(COUNTED.replacen("\"checkout\"", "\"other\"", 1));
    filter
        .respond(stream, &Response::status(200))
        .expect("an answer");
    filter.finish(stream).expect("an end");
    let counted = requests(&process, "stable", "ok") + requests(&process, "canary", "ok");
    assert_eq!(counted, 1);
    filter.configure(COUNTED);
    assert_eq!(sum(&both(&process, &mut filter)[1]), 1);
}

#[test]
fn what_cannot_be_handed_on_with_the_end_of_a_policy_is_told_as_dropped() {
    for effect in [CAS_MISMATCH, REFUSED] {
        let process = Process::new();
        let mut filter = worker_of(&process, COUNTED);
        let (stream, _) = filter.open(&of_caller(1)).expect("an open stream");
        filter.configure(counted_with_share("0%"));
        filter
            .respond(stream, &Response::status(200))
            .expect("an answer");
        filter.set_faults([Fault::every(SET_SHARED, effect)]);
        filter.finish(stream).expect("an end");
        filter.set_faults([]);
        let [metrics, ledger] = both(&process, &mut filter);
        assert_eq!((sum(&metrics), sum(&ledger)), (1, 0));
        let dropped = process.metric("serinus_dropped_total");
        assert!(dropped > Some(0), "{dropped:?}");
    }
}

#[test]
fn totals_survive_a_new_vm() {
    let process = Process::new();
    let mut first = worker_of(&process, COUNTED);
    traffic(&mut first, 8);
    beats(&process, [&mut first], 4);
    let before = both(&process, &mut first);
    drop(first);
    let mut second = worker_of(&process, COUNTED);
    assert_eq!(both(&process, &mut second), before);
    traffic(&mut second, 8);
    beats(&process, [&mut second], 4);
    let [metrics, ledger] = both(&process, &mut second);
    assert_eq!(metrics, ledger);
    assert_eq!(sum(&metrics), 16);
}

#[test]
fn two_plugins_of_one_vm_count_apart_under_policies_of_their_own_names() {
    let process = Process::new();
    let mut filter = worker_of(&process, COUNTED);
    let second = COUNTED.replacen("\"shop\"", "\"shop-2\"", 1);
    let second = filter.add_plugin("second", second).expect("a plugin").root;
    traffic(&mut filter, 4);
    beats(&process, [&mut filter], 4);
    assert_eq!(sum(&both(&process, &mut filter)[1]), 4);
    filter.use_root(second);
    assert_eq!(sum(&both(&process, &mut filter)[1]), 0);
    traffic(&mut filter, 3);
    beats(&process, [&mut filter], 4);
    assert_eq!(sum(&both(&process, &mut filter)[1]), 3);
}

#[test]
fn requests_of_no_route_are_decided_and_no_more() {
    let process = Process::new();
    let mut filter = worker_of(&process, COUNTED);
    filter.request(Request::get("/elsewhere"));
    beats(&process, [&mut filter], 4);
    let counted: Vec<String> = process
        .metric_names()
        .into_iter()
        .filter(|name| name.contains("(none)") && process.metric(name) != Some(0))
        .collect();
    let decided = "route=.=(none);.;variant=.=stable;.;reason=.=no-route;.;serinus_decisions_total";
    assert_eq!(counted, [decided]);
}

#[test]
fn every_series_of_a_policy_is_there_at_0_from_the_start() {
    let process = Process::new();
    let mut filter = worker_of(&process, COUNTED);
    let names = process.metric_names();
    // Of each side 12 outcomes, attempts, latencies and four gauges; five reasons for stable, two
    // for the canary, two where there is no route; of the gate ten gauges and three counters;
    // seven of the filter itself.
    assert_eq!(names.len(), 2 * (12 + 2 + 4) + 5 + 2 + 2 + (10 + 3) + 7);
    let counters = names.iter().filter(|name| name.ends_with("_total"));
    counters.for_each(|name| assert_eq!(process.metric(name), Some(0), "{name}"));
    traffic(&mut filter, 20);
    beats(&process, [&mut filter], 8);
    assert_eq!(process.metric_names(), names, "none comes later");
}

#[test]
fn workers_that_come_later_do_not_set_counters_back() {
    let process = Process::new();
    let mut first = worker_of(&process, COUNTED);
    traffic(&mut first, 8);
    beats(&process, [&mut first], 4);
    let mut second = worker_of(&process, COUNTED);
    let [metrics, ledger] = both(&process, &mut second);
    assert_eq!((sum(&metrics), sum(&ledger)), (8, 8));
}
