//! Whatever the gate is fed, it does not trap, and it does not shut for lack of sense.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use proptest::prelude::*;
use serinus::gate::input::{BUCKETS, COHORTS, Cohort, GROUPS, KEY_SLOTS};
use serinus::gate::limits::MAX_LIMITS;
use serinus::gate::store::MAX_BYTES;
use serinus::gate::{
    At, Bound, Canary, Counts, Gate, Group, Held, KeySlot, Limit, Pair, Position, Ppm, Quantity,
    Reason, Reopen, Sample, Settings, Shadowed, Stable, Tick, Verdict,
};
use std::time::Duration;

/// Counts that are small, large or absurd.
fn count() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..100_u64, 0..1_000_000_u64, any::<u64>()]
}

fn counts() -> impl Strategy<Value = Counts> {
    let parts = (
        count(),
        count(),
        count(),
        count(),
        count(),
        count(),
        count(),
    );
    (parts, prop::collection::vec(count(), BUCKETS)).prop_map(|(parts, buckets)| {
        let (requests, errors, slow, slow90, conversions, shadowed, diffs) = parts;
        Counts {
            requests,
            // Half of them contradict themselves otherwise, and are not judged.
            errors: errors.min(requests.saturating_mul(2)),
            slow: slow.min(requests),
            slow90: slow90.min(requests),
            conversions: conversions.min(requests),
            cohorts: (shadowed % 2 == 0).then_some(
                [Cohort {
                    exposures: requests,
                    conversions: slow,
                }; COHORTS],
            ),
            shadowed,
            diffs: diffs.min(shadowed),
            latency: buckets.try_into().unwrap(),
        }
    })
}

fn stable() -> impl Strategy<Value = Stable> {
    let group = (count(), count(), count(), count(), count()).prop_map(
        |(requests, errors, slow, slow90, conversions)| Group {
            requests,
            errors,
            slow,
            slow90,
            conversions,
        },
    );
    (counts(), prop::collection::vec(group, GROUPS)).prop_map(|(counts, groups)| Stable {
        counts,
        groups: groups.try_into().unwrap(),
    })
}

fn canary() -> impl Strategy<Value = Canary> {
    let slot = (count(), count()).prop_map(|(requests, errors)| KeySlot { requests, errors });
    (counts(), prop::collection::vec(slot, KEY_SLOTS)).prop_map(|(counts, slots)| Canary {
        counts,
        slots: slots.try_into().unwrap(),
    })
}

/// What a shadow may say, sense or not.
fn shadowed() -> impl Strategy<Value = Shadowed> {
    let number = || prop_oneof![0.0..1e6, Just(f64::NAN), Just(f64::INFINITY)];
    let sample = move || (number(), number()).prop_map(|(n, k)| Sample { n, k });
    let failed = (sample(), sample()).prop_map(|(stable, canary)| Pair { stable, canary });
    (count(), count(), prop::option::weighted(0.1, failed)).prop_map(
        |(pairs, differing, failed)| Shadowed {
            pairs,
            differing,
            failed,
        },
    )
}

fn tick() -> impl Strategy<Value = Tick> {
    let at = prop_oneof![0..100_000_u64, any::<u64>()];
    (
        at,
        any::<u32>(),
        any::<u32>(),
        prop::option::of(stable()),
        prop::option::of(canary()),
        prop::option::of(shadowed()),
    )
        .prop_map(|(at, share, stable_share, stable, canary, shadow)| Tick {
            at: At(at),
            share: Ppm(share),
            stable_share: Ppm(stable_share),
            stable,
            canary,
            shadow,
        })
}

fn settings() -> impl Strategy<Value = Settings> {
    let number = prop_oneof![-2.0..1e6, Just(f64::NAN), Just(f64::INFINITY)];
    (number, 0..100_u64, 0..100_u64, any::<bool>(), any::<u64>()).prop_map(
        |(tolerance, warmup, lasting, reopens, seed)| Settings {
            tolerance,
            warmup: Duration::from_secs(warmup),
            false_alarm_every: Duration::from_secs(warmup),
            reopen: reopens.then_some(Reopen {
                after: Duration::from_secs(warmup),
                max: Duration::from_secs(lasting),
            }),
            limits: vec![
                Limit {
                    quantity: Quantity::P99,
                    bound: Bound::AboveStableBy(tolerance),
                    lasting: Duration::from_secs(lasting),
                    min_requests: seed,
                };
                20
            ],
            seed,
            ..Settings::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_tick_traps_and_no_odds_become_nan(
        settings in settings(),
        ticks in prop::collection::vec(tick(), 1..40),
    ) {
        let mut gate = Gate::new(&settings);
        for tick in &ticks {
            let _ = gate.tick(&settings, tick);
            let _ = gate.verdict(&settings);
            prop_assert!(gate.share(tick.share) <= tick.share);
            for signal in serinus::gate::Signal::ALL {
                prop_assert!(!gate.detector().log_odds(signal).is_nan());
            }
        }
        prop_assert!(gate.history().iter().count() <= 32);
        let bytes = gate.to_bytes().unwrap();
        // As bytes, for a limit at NaN is not equal to itself.
        prop_assert_eq!(Gate::from_bytes(&bytes).unwrap().to_bytes(), Some(bytes));
    }

    #[test]
    fn a_side_that_is_missing_shuts_nothing(
        ticks in prop::collection::vec(tick(), 1..60),
        which in any::<bool>(),
    ) {
        let settings = Settings { warmup: Duration::ZERO, ..Settings::default() };
        let mut gate = Gate::new(&settings);
        for mut tick in ticks {
            if which { tick.stable = None } else { tick.canary = None }
            if let Some(shadow) = &mut tick.shadow { shadow.failed = None }
            prop_assert_eq!(gate.tick(&settings, &tick), None);
        }
        prop_assert_eq!(gate.verdict(&settings), Verdict::Hold);
    }

    #[test]
    fn damaged_bytes_are_no_gate(at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut bytes = Gate::new(&Settings::default()).to_bytes().unwrap();
        let index = at.index(bytes.len());
        *bytes.get_mut(index).unwrap() ^= flip;
        prop_assert_eq!(Gate::from_bytes(&bytes), None);
    }

    #[test]
    fn foreign_bytes_are_no_gate(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(Gate::from_bytes(&bytes), None);
    }

    #[test]
    fn counters_that_went_backward_have_no_difference(now in counts(), then in counts()) {
        match now.since(&then) {
            Some(between) => prop_assert_eq!(between.requests + then.requests, now.requests),
            None => prop_assert!(now != then),
        }
    }
}

fn plain(t: u64, stable: (u64, u64), canary: (u64, u64)) -> Tick {
    let counts = |(requests, errors)| Counts {
        requests,
        errors,
        ..Counts::default()
    };
    Tick {
        at: At(t * 1_000),
        share: Ppm(50_000),
        stable_share: Ppm(950_000),
        stable: Some(Stable {
            counts: counts(stable),
            groups: Default::default(),
        }),
        canary: Some(Canary {
            counts: counts(canary),
            slots: [KeySlot::default(); KEY_SLOTS],
        }),
        shadow: None,
    }
}

/// A gate that has seen five good minutes.
fn warm(settings: &Settings) -> Gate {
    let mut gate = Gate::new(settings);
    for t in 0..300 {
        assert_eq!(gate.tick(settings, &plain(t, (950, 1), (50, 0))), None);
    }
    gate
}

fn crash(t: u64) -> Tick {
    plain(t, (950, 1), (50, 50))
}

#[test]
fn a_tick_that_comes_again_and_again_counts_once() {
    let settings = Settings::default();
    let mut gate = warm(&settings);
    let few = plain(300, (950, 1), (3, 2));
    for _ in 0..1_000 {
        assert_eq!(gate.tick(&settings, &few), None);
    }
}

#[test]
fn a_clock_that_jumps_shuts_nothing_and_opens_nothing_early() {
    let settings = Settings {
        reopen: Some(Reopen::default()),
        ..Settings::default()
    };
    let mut gate = warm(&settings);
    assert_eq!(gate.tick(&settings, &crash(1_000_000)), None);
    assert_eq!(gate.tick(&settings, &crash(5)), None);
    let change = gate.tick(&settings, &crash(6)).unwrap();
    assert_eq!(
        (change.state, change.reason),
        (Position::Shut, Reason::Failing)
    );
    assert_eq!(gate.tick(&settings, &crash(2_000_000)), None);
    assert_eq!(gate.position(), Position::Shut);
}

#[test]
fn the_warmup_is_not_judged() {
    let settings = Settings::default();
    let mut gate = Gate::new(&settings);
    for t in 0..60 {
        assert_eq!(gate.tick(&settings, &crash(t)), None);
    }
    assert!(gate.tick(&settings, &crash(60)).is_some());
}

#[test]
fn a_persons_word_beats_what_is_found_and_the_state_beneath_goes_on_from_there() {
    let mut settings = Settings::default();
    let mut gate = warm(&settings);
    settings.held = Some(Held::Open);
    let told = gate.configure(&settings, At(300_000)).unwrap();
    assert_eq!((told.state, told.reason), (Position::Open, Reason::Held));
    for t in 300..310 {
        assert_eq!(gate.tick(&settings, &crash(t)), None);
    }
    assert_eq!(
        (gate.position(), gate.verdict(&settings)),
        (Position::Open, Verdict::Fail)
    );
    settings.held = None;
    let told = gate.configure(&settings, At(310_000)).unwrap();
    assert_eq!(
        (told.state, told.reason),
        (Position::Open, Reason::Released)
    );
    assert_eq!(
        gate.tick(&settings, &crash(310)).unwrap().state,
        Position::Shut
    );
    settings.held = Some(Held::Shut);
    gate.configure(&settings, At(311_000));
    assert_eq!(gate.share(Ppm(50_000)), Ppm(0));
}

#[test]
fn a_new_revision_starts_afresh_and_any_other_change_keeps_the_state() {
    let mut settings = Settings::default();
    let mut gate = warm(&settings);
    gate.tick(&settings, &crash(300)).unwrap();
    settings.tolerance = 3.0;
    settings.warmup = Duration::ZERO;
    assert_eq!(gate.configure(&settings, At(301_000)), None);
    assert_eq!(gate.position(), Position::Shut);
    settings.revision = "2".to_owned();
    let told = gate.configure(&settings, At(302_000)).unwrap();
    assert_eq!(
        (told.state, told.reason),
        (Position::Open, Reason::Revision)
    );
    assert_eq!(gate.history().iter().count(), 2);
}

#[test]
fn a_shut_gate_verdicts_fail_and_reopens_by_the_ladder() {
    let settings = Settings {
        reopen: Some(Reopen::default()),
        ..Settings::default()
    };
    let mut gate = warm(&settings);
    gate.tick(&settings, &crash(300)).unwrap();
    assert_eq!(gate.verdict(&settings), Verdict::Fail);
    let mut reasons = Vec::new();
    for t in 301..1_000 {
        // As many of the canary's as its share lets through.
        let reach = u64::from(gate.share(Ppm(50_000)).0) / 1_000;
        reasons.extend(
            gate.tick(&settings, &plain(t, (950, 1), (reach, 0)))
                .map(|told| told.reason),
        );
    }
    assert_eq!(reasons, [Reason::Retry, Reason::Step, Reason::Recovered]);
    assert_eq!(gate.position(), Position::Open);
}

#[test]
fn a_limit_shuts_even_where_stable_is_missing() {
    let settings = Settings {
        limits: vec![Limit {
            quantity: Quantity::ErrorRate,
            bound: Bound::Above(0.01),
            lasting: Duration::from_secs(120),
            min_requests: 100,
        }],
        ..Settings::default()
    };
    let mut gate = warm(&settings);
    let shut = (300..600).find_map(|t| {
        let mut tick = plain(t, (950, 1), (50, 1));
        tick.stable = None;
        gate.tick(&settings, &tick).map(|told| (t, told.reason))
    });
    assert_eq!(shut, Some((419, Reason::Limit(Quantity::ErrorRate))));
}

#[test]
fn the_fullest_gate_fits_its_bytes() {
    let mut settings = Settings {
        revision: "r".repeat(40),
        reopen: Some(Reopen::default()),
        limits: vec![
            Limit {
                quantity: Quantity::P99,
                bound: Bound::AboveStableBy(1e9),
                lasting: Duration::from_secs(3_600),
                min_requests: u64::MAX,
            };
            MAX_LIMITS
        ],
        ..Settings::default()
    };
    let mut gate = Gate::new(&settings);
    for t in 0..200 {
        let mut tick = plain(t, (950_000, 1), (50_000, 50));
        for slot in tick.canary.iter_mut().flat_map(|side| &mut side.slots) {
            *slot = KeySlot {
                requests: 781,
                errors: 1,
            };
        }
        for group in tick.stable.iter_mut().flat_map(|side| &mut side.groups) {
            *group = Group {
                requests: 118_750,
                errors: 1,
                slow: 10,
                slow90: 100,
                conversions: 5,
            };
        }
        gate.tick(&settings, &tick);
    }
    for t in 0..40 {
        settings.held = if t % 2 == 0 { Some(Held::Open) } else { None };
        gate.configure(&settings, At(t));
    }
    assert_eq!(gate.history().iter().count(), 32);
    let bytes = gate.to_bytes().unwrap();
    assert!(bytes.len() < MAX_BYTES, "{}", bytes.len());
}
