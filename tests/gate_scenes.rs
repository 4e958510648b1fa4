//! Made-up traffic through the gate: how soon bad canaries are shut over many seeds, and that good
//! ones are not, whatever else goes on.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod traffic;

use serinus::gate::{Change, Gate, Reason, Settings, Signal, Verdict};
use std::time::Duration;
use traffic::{BODY_SLOWER, GOOD, Rates, Scene, TAIL_DOUBLED, Traffic};

fn settings(scene: &Scene) -> Settings {
    Settings {
        tick: Duration::from_secs_f64(scene.tick_s),
        ..Settings::default()
    }
}

/// The tick of the first change, and the change.
fn first_change(scene: Scene, seed: u64) -> Option<(u64, Change)> {
    let settings = settings(&scene);
    let mut gate = Gate::new(&settings);
    (0..)
        .zip(Traffic::new(scene, seed))
        .find_map(|(t, tick)| gate.tick(&settings, &tick).map(|change| (t, change)))
}

/// Seconds from the onset to shut, the median of 15 seeds; every one of them after the onset and
/// on `signal`.
fn median_delay(scene: Scene, signal: Signal) -> u64 {
    let mut delays: Vec<u64> = (0..15)
        .map(|seed| {
            let (t, change) = first_change(scene, seed).expect("a bad canary is shut");
            assert!(t >= scene.onset, "seed {seed} was shut at {t}: {change:?}");
            assert_eq!(change.signal, Some(signal), "seed {seed}");
            t - scene.onset + 1
        })
        .collect();
    delays.sort_unstable();
    delays[delays.len() / 2]
}

fn errors(errors: f64) -> Rates {
    Rates { errors, ..GOOD }
}

fn bad(bad: Rates) -> Scene {
    Scene {
        bad,
        ticks: 3_600,
        ..Scene::default()
    }
}

// The bounds are the medians that the reference detector reached on traffic like this, and a half.

#[test]
fn a_crash_is_shut_within_two_seconds() {
    let crash = Scene {
        share: 0.01,
        ..bad(errors(1.0))
    };
    assert!(median_delay(crash, Signal::Errors) <= 2);
}

#[test]
fn errors_are_shut_in_seconds_to_minutes_by_how_many_they_are() {
    for (rate, limit) in [(0.1, 3), (0.05, 8), (0.01, 77), (0.005, 390)] {
        let delay = median_delay(bad(errors(rate)), Signal::Errors);
        assert!(delay <= limit, "{rate}: {delay} s");
    }
}

#[test]
fn a_doubled_tail_is_shut_in_minutes() {
    let rates = Rates {
        latency: TAIL_DOUBLED,
        ..GOOD
    };
    // The reference took 208 s: it did not look beyond the 1.5 %.
    assert!(median_delay(bad(rates), Signal::Slow) <= 150);
}

#[test]
fn a_body_slower_by_a_fifth_is_shut_in_minutes() {
    let rates = Rates {
        latency: BODY_SLOWER,
        ..GOOD
    };
    assert!(median_delay(bad(rates), Signal::Slow) <= 132);
}

#[test]
fn differences_are_shut_within_minutes() {
    let scene = Scene {
        shadow: true,
        ..bad(Rates {
            diffs: 0.025,
            ..GOOD
        })
    };
    assert!(median_delay(scene, Signal::Diffs) <= 80);
}

#[test]
fn a_drop_of_conversions_is_shut_in_minutes() {
    let half = Rates {
        conversions: 0.015,
        ..GOOD
    };
    assert!(median_delay(bad(half), Signal::Conversions) <= 240);
}

#[test]
fn a_crash_on_a_very_quiet_route_is_shut_after_a_handful_of_requests() {
    let scene = Scene {
        rps: 1.0,
        share: 0.01,
        ticks: 7_200,
        ..bad(errors(1.0))
    };
    assert!(median_delay(scene, Signal::Errors) <= 648);
}

#[test]
fn a_share_above_half_does_not_blind_the_gate() {
    let scene = Scene {
        share: 0.9,
        ..bad(errors(0.05))
    };
    assert!(median_delay(scene, Signal::Errors) <= 9);
}

#[test]
fn a_crash_is_shut_in_seconds_whatever_the_share() {
    for (rps, share) in [(10.0, 0.5), (10.0, 0.9), (1_000.0, 0.99), (1_000.0, 0.999)] {
        let scene = Scene {
            rps,
            share,
            ..bad(errors(1.0))
        };
        let delay = median_delay(scene, Signal::Errors);
        assert!(delay <= 4, "{rps} {share}: {delay} s");
    }
}

fn never_shut(scene: Scene) {
    for seed in 0..3 {
        assert_eq!(first_change(scene, seed), None, "seed {seed}");
    }
}

fn good() -> Scene {
    Scene {
        ticks: 7_200,
        ..Scene::default()
    }
}

#[test]
fn an_outage_of_both_shuts_nothing() {
    for (outage, rps, share) in [
        (0.5, 1_000.0, 0.05),
        (0.05, 1_000.0, 0.05),
        (0.05, 1_000.0, 0.9),
        (0.05, 1_000.0, 0.99),
        (1.0, 1_000.0, 0.999),
        (0.6, 10.0, 0.9),
        (0.7, 30.0, 0.9),
    ] {
        never_shut(Scene {
            outage,
            rps,
            share,
            ..good()
        });
    }
}

#[test]
fn one_callers_retries_shut_nothing() {
    for storm_rps in [0.2, 20.0, 200.0] {
        never_shut(Scene {
            storm_rps,
            ..good()
        });
    }
}

#[test]
fn hosts_that_differ_and_errors_in_batches_shut_nothing() {
    for (rps, share) in [(1_000.0, 0.05), (100.0, 0.05), (10.0, 0.5)] {
        never_shut(Scene {
            rps,
            share,
            hosts_differ: 0.5,
            batch: 3.0,
            shared_bursts_per_h: 20.0,
            ..good()
        });
    }
}

/// Thirty days of a canary that is as good as stable, at three rates: at most one false alarm in
/// all, where one a rate is allowed.
#[test]
fn ninety_good_days_shut_at_most_once() {
    let month = Scene {
        tick_s: 10.0,
        ticks: 30 * 8_640,
        onset: u64::MAX,
        ..Scene::default()
    };
    let false_alarms = [(1_000.0, 0.05), (50.0, 0.2), (2.0, 0.5)]
        .into_iter()
        .zip(100..)
        .filter_map(|((rps, share), seed)| {
            let scene = Scene {
                rps,
                share,
                ..month
            };
            first_change(scene, seed)
        });
    assert!(false_alarms.count() <= 1);
}

#[test]
fn a_pass_comes_with_the_evidence_and_not_before() {
    let scene = Scene {
        shadow: true,
        ..good()
    };
    let settings = settings(&scene);
    let mut gate = Gate::new(&settings);
    let mut passed_at = None;
    for (t, tick) in (0_u64..).zip(Traffic::new(scene, 5)) {
        assert_eq!(gate.tick(&settings, &tick), None);
        match gate.verdict(&settings) {
            Verdict::Pass => {
                passed_at.get_or_insert(t);
            }
            other => assert_eq!((other, passed_at), (Verdict::Hold, None)),
        }
    }
    // 50 requests a second: 1 % more errors show after a minute or so.
    let passed_at = passed_at.unwrap();
    assert!((80..400).contains(&passed_at), "{passed_at}");
}

#[test]
fn a_gate_written_and_read_between_ticks_judges_alike() {
    let scene = bad(errors(0.01));
    let settings = settings(&scene);
    let mut gate = Gate::new(&settings);
    let mut carried = Gate::new(&settings);
    for tick in Traffic::new(scene, 9).take(500) {
        let change = gate.tick(&settings, &tick);
        carried = Gate::from_bytes(&carried.to_bytes().unwrap()).unwrap();
        assert_eq!(carried.tick(&settings, &tick), change);
    }
    assert_eq!(carried, gate);
    let reasons: Vec<_> = gate.history().iter().map(|change| change.reason).collect();
    assert_eq!(reasons, [Reason::Worse]);
}
