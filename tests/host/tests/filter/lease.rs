//! One of the workers watches: it alone sets gauges, and another takes over when it falls silent.

use serinus_host_tests::{Calls, Filter, Process};

use crate::policies::{COUNTED, counted_with_share};
use crate::{BEAT, beats, of_caller, series, worker_of};

/// Whether a worker that made these calls in its ticks watched: it renewed the lease.
fn watched(calls: &Calls) -> bool {
    let renewed = |call| {
        calls
            .iter()
            .any(|made| (made.function, made.subject.as_str()) == call)
    };
    renewed(("proxy_set_shared_data", "shop.lease"))
}

/// The workers that watched in a second, by place, and the gauges that each set.
fn second(process: &Process, workers: &mut [Filter]) -> Vec<(bool, usize)> {
    let mut told = vec![(false, 0); workers.len()];
    for _ in 0..4 {
        process.advance(BEAT);
        for (told, filter) in told.iter_mut().zip(workers.iter_mut()) {
            let calls = filter.tick();
            told.0 |= watched(&calls);
            // Every worker records what its tick took.
            let recorded = calls.count("proxy_record_metric");
            told.1 += recorded.saturating_sub(1);
        }
    }
    told
}

fn workers(process: &Process, count: usize) -> Vec<Filter> {
    (0..count).map(|_| worker_of(process, COUNTED)).collect()
}

fn asked(process: &Process) -> Option<u64> {
    process.metric(&series("canary", "", "serinus_share_asked_ppm"))
}

#[test]
fn one_of_several_workers_watches_and_sets_all_gauges() {
    let process = Process::new();
    let mut workers = workers(&process, 5);
    second(&process, &mut workers);
    let first = second(&process, &mut workers);
    assert_eq!(first.iter().filter(|(watched, _)| *watched).count(), 1);
    for (watched, gauges) in &first {
        // Four of each side, ten of the gate, and the age of the policy.
        assert_eq!(*gauges, if *watched { 19 } else { 0 });
    }
    for _ in 0..20 {
        assert_eq!(
            second(&process, &mut workers),
            first,
            "it stays the same one"
        );
    }
}

#[test]
fn when_the_watcher_falls_silent_another_takes_over_within_five_seconds() {
    let process = Process::new();
    let mut workers = workers(&process, 4);
    while workers.len() > 1 {
        second(&process, &mut workers);
        let told = second(&process, &mut workers);
        let watcher = told
            .iter()
            .position(|(watched, _)| *watched)
            .expect("a watcher");
        drop(workers.remove(watcher));
        let silent = (1..=5).find(|_| {
            let told = second(&process, &mut workers);
            told.iter().any(|(watched, _)| *watched)
        });
        assert!(silent.is_some(), "{} workers left", workers.len());
        let told = second(&process, &mut workers);
        assert_eq!(told.iter().filter(|(watched, _)| *watched).count(), 1);
    }
}

#[test]
fn a_watcher_that_comes_back_finds_itself_replaced() {
    let process = Process::new();
    let mut workers = workers(&process, 2);
    second(&process, &mut workers);
    let told = second(&process, &mut workers);
    let watcher = told
        .iter()
        .position(|(watched, _)| *watched)
        .expect("a watcher");
    workers.swap(0, watcher);
    for _ in 0..5 {
        second(&process, &mut workers[1..]);
    }
    for _ in 0..5 {
        let told: Vec<bool> = second(&process, &mut workers)
            .iter()
            .map(|(w, _)| *w)
            .collect();
        assert_eq!(told, [false, true]);
    }
}

#[test]
fn a_newer_policy_takes_over_at_once_and_an_older_one_never_takes_back() {
    let process = Process::new();
    let mut filter = worker_of(&process, COUNTED);
    beats(&process, [&mut filter], 8);
    assert_eq!(asked(&process), Some(500_000));
    // A request under way keeps the old root, which goes on ticking.
    let (stream, _) = filter.open(&of_caller(1)).expect("an open stream");
    filter.configure(counted_with_share("20%"));
    assert_eq!(filter.roots().len(), 2);
    beats(&process, [&mut filter], 8);
    for _ in 0..40 {
        beats(&process, [&mut filter], 1);
        assert_eq!(asked(&process), Some(200_000));
    }
    filter.finish(stream).expect("an end");
}

#[test]
fn a_worker_that_gets_the_new_policy_late_does_not_take_back() {
    let process = Process::new();
    let mut workers = workers(&process, 3);
    beats(&process, &mut workers, 8);
    for late in 0..3 {
        workers[late].configure(counted_with_share("20%"));
        beats(&process, &mut workers, 8);
        for _ in 0..20 {
            beats(&process, &mut workers, 1);
            assert_eq!(asked(&process), Some(200_000), "{late} are late");
        }
    }
}

#[test]
fn of_two_policies_given_between_two_beats_the_newer_one_watches() {
    let process = Process::new();
    let mut filter = worker_of(&process, COUNTED);
    let (stream, _) = filter.open(&of_caller(1)).expect("an open stream");
    process.advance(BEAT / 10);
    filter.configure(counted_with_share("20%"));
    beats(&process, [&mut filter], 8);
    for _ in 0..40 {
        beats(&process, [&mut filter], 1);
        assert_eq!(asked(&process), Some(200_000));
    }
    filter.finish(stream).expect("an end");
}

#[test]
fn a_policy_that_is_given_again_takes_over_again() {
    let process = Process::new();
    let mut filter = worker_of(&process, COUNTED);
    for share in ["20%", "50%", "20%"] {
        beats(&process, [&mut filter], 8);
        filter.configure(counted_with_share(share));
        beats(&process, [&mut filter], 8);
        let ppm = if share == "20%" { 200_000 } else { 500_000 };
        assert_eq!(asked(&process), Some(ppm), "{share}");
    }
}
