//! What a shadow's verdict does to a gate, and what its pairs alone do not.

use super::input::{GROUPS, KEY_SLOTS};
use super::*;
use proptest::prelude::*;
use std::time::Duration;

/// A tick of a second in which the canary's share holds `reach` requests of a thousand, all good.
fn tick(second: u64, reach: u64, shadow: Option<Shadowed>) -> Tick {
    let counts = |requests| Counts {
        requests,
        ..Counts::default()
    };
    Tick {
        at: At(second * 1_000),
        share: Ppm(50_000),
        stable_share: Ppm(950_000),
        stable: Some(Stable {
            counts: counts(950),
            groups: [Group::default(); GROUPS],
        }),
        canary: Some(Canary {
            counts: counts(reach),
            slots: [KeySlot::default(); KEY_SLOTS],
        }),
        shadow,
    }
}

/// A second in which every pair differed.
fn noisy(failed: Option<Pair>) -> Option<Shadowed> {
    Some(Shadowed {
        pairs: 100,
        differing: 100,
        failed,
    })
}

fn counts_of_fail() -> Pair {
    Pair {
        stable: Sample::of(50, 1),
        canary: Sample::of(900, 70),
    }
}

fn failed() -> Option<Shadowed> {
    noisy(Some(counts_of_fail()))
}

/// The ticks have no latencies, which the gate would wait for.
fn without_slow() -> Settings {
    let mut settings = Settings::default();
    settings.signals.slow = false;
    settings
}

fn reopening() -> Settings {
    Settings {
        reopen: Some(Reopen::default()),
        ..Settings::default()
    }
}

/// The reasons of all changes over `seconds`, with as many canary requests as the gate lets through.
fn reasons(
    gate: &mut Gate,
    settings: &Settings,
    seconds: std::ops::Range<u64>,
    shadow: Option<Shadowed>,
) -> Vec<Reason> {
    let changes = seconds.filter_map(|second| {
        let reach = u64::from(gate.share(Ppm(50_000)).0) / 1_000;
        gate.tick(settings, &tick(second, reach, shadow))
    });
    changes.map(|change| change.reason).collect()
}

#[test]
fn a_failed_shadow_shuts_at_once_with_what_it_rests_on_though_nobody_has_seen_the_canary() {
    let settings = Settings::default();
    for canary in [Some(0), Some(50), None] {
        let mut gate = Gate::new(&settings);
        assert_eq!(gate.tick(&settings, &tick(0, 0, noisy(None))), None);
        let mut tick = tick(1, canary.unwrap_or(0), failed());
        if canary.is_none() {
            (tick.stable, tick.canary) = (None, None);
        }
        let change = gate.tick(&settings, &tick).unwrap();
        assert_eq!(
            change,
            Change {
                at: At(1_000),
                state: Position::Shut,
                reason: Reason::Shadow,
                signal: Some(Signal::Diffs),
                evidence: counts_of_fail(),
            }
        );
        assert_eq!(gate.share(Ppm::ALL), Ppm(0));
        assert_eq!(gate.verdict(&settings), Verdict::Fail);
        assert_eq!(gate.evidence(&settings, Signal::Diffs), 1.0);
        assert_eq!(gate.evidence(&settings, Signal::Errors), 0.0);
    }
}

#[test]
fn a_failed_shadow_is_told_once() {
    let settings = Settings::default();
    let mut gate = Gate::new(&settings);
    let told = reasons(&mut gate, &settings, 0..600, failed());
    assert_eq!(told, [Reason::Shadow]);
}

#[test]
fn a_gate_that_does_not_judge_diffs_does_not_ask_the_shadow() {
    let mut settings = without_slow();
    settings.signals.diffs = false;
    let mut gate = Gate::new(&settings);
    assert_eq!(reasons(&mut gate, &settings, 0..600, failed()), []);
    assert_eq!(gate.verdict(&settings), Verdict::Pass);
    assert_eq!(gate.evidence(&settings, Signal::Diffs), 0.0);
}

#[test]
fn pairs_that_differ_are_noise_until_the_verdict_says_otherwise() {
    // Longer than a false alarm may be seldom: evidence that grew with time alone would show.
    let settings = Settings {
        false_alarm_every: Duration::from_secs(3_600),
        ..without_slow()
    };
    let mut gate = Gate::new(&settings);
    assert_eq!(reasons(&mut gate, &settings, 0..30_000, noisy(None)), []);
    assert_eq!(gate.evidence(&settings, Signal::Diffs), 0.0);
    assert_eq!(
        gate.verdict(&settings),
        Verdict::Pass,
        "they hold up nothing"
    );
}

#[test]
fn a_limit_on_differences_shuts_by_the_shadows_pairs() {
    let limit = Limit {
        quantity: Quantity::DiffRate,
        bound: Bound::Above(0.05),
        lasting: Duration::from_secs(60),
        min_requests: 100,
    };
    let settings = Settings {
        limits: vec![limit],
        ..Settings::default()
    };
    let mut gate = Gate::new(&settings);
    let told = reasons(&mut gate, &settings, 0..300, noisy(None));
    assert_eq!(told, [Reason::Limit(Quantity::DiffRate)]);
}

#[test]
fn a_gate_that_probes_shuts_when_the_shadow_fails_and_tries_nobody_while_it_does() {
    let settings = reopening();
    let mut gate = Gate::new(&settings);
    reasons(&mut gate, &settings, 0..100, noisy(None));
    let crash = Tick {
        canary: Some(Canary {
            counts: Counts {
                requests: 50,
                errors: 50,
                ..Counts::default()
            },
            slots: [KeySlot::default(); KEY_SLOTS],
        }),
        ..tick(100, 50, noisy(None))
    };
    assert_eq!(
        gate.tick(&settings, &crash).unwrap().reason,
        Reason::Failing
    );
    let until_probing = (101..200).find(|second| {
        reasons(&mut gate, &settings, *second..second + 1, noisy(None)) == [Reason::Retry]
    });
    let second = until_probing.unwrap() + 1;
    assert_eq!(
        reasons(&mut gate, &settings, second..second + 10_000, failed()),
        [Reason::Shadow]
    );
    assert_eq!(gate.position(), Position::Shut);
}

#[test]
fn a_gate_whose_shadow_fails_no_more_climbs_back_though_every_pair_differs() {
    let settings = reopening();
    let mut gate = Gate::new(&settings);
    reasons(&mut gate, &settings, 0..10, failed());
    let back = [Reason::Retry, Reason::Step, Reason::Recovered];
    assert_eq!(
        reasons(&mut gate, &settings, 10..1_000, noisy(None)),
        back,
        "in the warm-up, which nobody could end"
    );
}

#[test]
fn a_persons_word_goes_before_the_shadows_and_no_longer() {
    let mut settings = Settings {
        held: Some(Held::Open),
        ..Settings::default()
    };
    let mut gate = Gate::new(&settings);
    assert_eq!(gate.tick(&settings, &tick(0, 50, failed())), None);
    assert_eq!(
        (gate.position(), gate.verdict(&settings)),
        (Position::Open, Verdict::Fail)
    );
    settings.held = None;
    gate.configure(&settings, At(500));
    let change = gate.tick(&settings, &tick(1, 50, failed())).unwrap();
    assert_eq!(
        (change.state, change.reason),
        (Position::Shut, Reason::Shadow)
    );
}

#[test]
fn a_new_revision_knows_nothing_of_the_verdict_on_the_last() {
    let mut settings = Settings::default();
    let mut gate = Gate::new(&settings);
    reasons(&mut gate, &settings, 0..10, failed());
    settings.revision = "2".to_owned();
    gate.configure(&settings, At(10_000)).unwrap();
    assert_eq!(gate.position(), Position::Open);
    assert_eq!(gate.verdict(&settings), Verdict::Hold);
    assert_eq!(gate.evidence(&settings, Signal::Diffs), 0.0);
    assert_eq!(reasons(&mut gate, &settings, 10..60, noisy(None)), []);
}

proptest! {
    #[test]
    fn a_failed_shadow_leaves_no_gate_open_whatever_else_comes(
        sides in prop::collection::vec(
            (any::<u64>(), any::<u64>(), any::<u64>(), any::<bool>()),
            1..40,
        ),
        pairs in any::<(u64, u64)>(),
        reopens in any::<bool>(),
    ) {
        let settings = if reopens { reopening() } else { Settings::default() };
        let mut gate = Gate::new(&settings);
        for (at, requests, errors, is_there) in sides {
            let shadow = failed().map(|shadow| Shadowed {
                pairs: pairs.0,
                differing: pairs.1,
                ..shadow
            });
            let mut tick = tick(0, requests, shadow);
            tick.at = At(at);
            match &mut tick.canary {
                Some(canary) if is_there => canary.counts.errors = errors,
                _ => tick.canary = None,
            }
            let _ = gate.tick(&settings, &tick);
            prop_assert_eq!(gate.position(), Position::Shut);
        }
    }

    #[test]
    fn pairs_without_a_verdict_change_nothing_without_a_limit(
        ticks in prop::collection::vec((0_u64..200, any::<(u64, u64)>()), 1..200),
    ) {
        let settings = reopening();
        let (mut with, mut without) = (Gate::new(&settings), Gate::new(&settings));
        for (second, (reach, (pairs, differing))) in (0..).zip(ticks) {
            let shadow = Shadowed { pairs, differing, failed: None };
            let told = with.tick(&settings, &tick(second, reach, Some(shadow)));
            prop_assert_eq!(told, without.tick(&settings, &tick(second, reach, None)));
        }
        prop_assert_eq!(with, without);
    }
}
