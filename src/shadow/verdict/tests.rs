//! The verdict as a whole, on simulated routes. The draws are seeded: each run sees the same.

use super::{Evidence, Ledger, MAX_NAME, MAX_PATHS, Pair, Rule, Settings, Verdict};
use crate::shadow::compare::{Bodies, Comparison, Difference, Kind};
use proptest::prelude::*;
use std::sync::LazyLock;

/// SplitMix64 (Steele, Lea & Flood 2014).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn chance(&mut self, probability: f64) -> bool {
        ((self.next() >> 11) as f64) / ((1_u64 << 53) as f64) < probability
    }
}

fn found(differences: &[(&str, Kind)]) -> Comparison {
    let mut differences: Vec<Difference> = differences
        .iter()
        .map(|&(path, kind)| Difference {
            path: path.to_owned(),
            kind,
            count: 1,
            sample: None,
        })
        .collect();
    differences.sort_by(|a, b| (&a.path, a.kind).cmp(&(&b.path, b.kind)));
    Comparison {
        differences,
        unnamed: 0,
        bodies: Bodies::Compared,
        steps: 0,
    }
}

/// One answer: an id that no other has, a member that is there or not, a value from a few, and the
/// status.
#[derive(Clone, Copy)]
struct Answer {
    id: u64,
    member: bool,
    value: u64,
    failed: bool,
}

/// A route, by the probabilities of its answers.
#[derive(Clone, Copy)]
struct Route {
    member: f64,
    values: u64,
    failed: f64,
}

impl Route {
    fn answer(self, draws: &mut Draws) -> Answer {
        Answer {
            id: draws.next(),
            member: draws.chance(self.member),
            value: draws.next() % self.values,
            failed: draws.chance(self.failed),
        }
    }
}

fn between(left: Answer, right: Answer) -> Comparison {
    if left.failed != right.failed {
        return found(&[("", Kind::Status)]);
    }
    let mut differences = Vec::new();
    if left.id != right.id {
        differences.push(("/id", Kind::Value));
    }
    match (left.member, right.member) {
        (true, false) => differences.push(("/bio", Kind::Missing)),
        (false, true) => differences.push(("/bio", Kind::Extra)),
        _ => {}
    }
    if left.value != right.value {
        differences.push(("/score", Kind::Value));
    }
    found(&differences)
}

/// Runs `pairs` sampled requests through a ledger that is looked at after each.
fn run(stable: Route, candidate: Route, settings: Settings, pairs: u32, seed: u64) -> Ledger {
    let mut draws = Draws(seed);
    let mut ledger = Ledger::new(Rule::new(settings));
    for _ in 0..pairs {
        let left = stable.answer(&mut draws);
        if draws.chance(settings.raw_share) {
            let right = candidate.answer(&mut draws);
            let raw = between(left, right);
            if ledger.observe(Pair::Raw, &raw) {
                ledger.pay();
                let again = stable.answer(&mut draws);
                ledger.confirm(&raw, &between(left, again), &between(again, right));
            }
        } else {
            let right = stable.answer(&mut draws);
            ledger.observe(Pair::Noise, &between(left, right));
        }
        ledger.settle_alone();
    }
    ledger
}

const NOISY: Route = Route {
    member: 0.9,
    values: 3,
    failed: 0.01,
};

fn with_share(raw_share: f64) -> Settings {
    Settings {
        raw_share,
        ..Settings::default()
    }
}

#[test]
fn good_routes_do_not_fail_though_looked_at_after_each_comparison() {
    // Members that are mostly there, mostly not, and in between: what is noise in one direction
    // must not look like a regression in the other.
    for (share, seed) in [(0.5, 1000), (0.95, 2000)] {
        let failed = (0..150).filter(|run_no| {
            let member = [0.97, 0.9, 0.5, 0.1, 0.03][*run_no as usize % 5];
            let route = Route { member, ..NOISY };
            let ledger = run(route, route, with_share(share), 600, seed + run_no);
            ledger.report().verdict == Verdict::Fail
        });
        // One percent would be 1.5 of 150; more than 5 has a probability below 1 %.
        assert!(failed.count() <= 5);
    }
}

/// As [`run`], but of each version's calls this part is lost on its way.
fn run_with_losses(candidate: Route, lost: [f64; 2], pairs: u32, seed: u64) -> Ledger {
    let mut draws = Draws(seed);
    let mut ledger = Ledger::new(Rule::new(with_share(0.5)));
    for _ in 0..pairs {
        let left = NOISY.answer(&mut draws);
        let (pair, version, lost) = match draws.chance(0.5) {
            true => (Pair::Raw, candidate, lost[0]),
            false => (Pair::Noise, NOISY, lost[1]),
        };
        if draws.chance(lost) {
            ledger.lose(pair);
        } else {
            let right = version.answer(&mut draws);
            ledger.observe(pair, &between(left, right));
        }
        ledger.settle_alone();
    }
    ledger
}

#[test]
fn pairs_lost_on_one_sides_way_fail_no_good_route() {
    for lost in [[0.5, 0.0], [0.0, 0.5]] {
        let failed = (0..60).filter(|seed| {
            let ledger = run_with_losses(NOISY, lost, 600, 3_000 + seed);
            ledger.report().verdict == Verdict::Fail
        });
        assert!(failed.count() <= 3, "{lost:?}");
    }
}

#[test]
fn a_regression_is_found_though_some_pairs_are_lost_and_those_do_not_count_as_compared() {
    let candidate = Route {
        member: 0.3,
        ..NOISY
    };
    let ledger = run_with_losses(candidate, [0.1, 0.05], 2_000, 5);
    assert_eq!(ledger.report().verdict, Verdict::Fail);
    let all_lost = run_with_losses(NOISY, [1.0, 0.0], 2_000, 5);
    let report = all_lost.report();
    assert_eq!((report.verdict, report.raw), (Verdict::Hold, 0));
}

#[test]
fn a_good_route_passes_once_there_are_enough_pairs() {
    let verdict = |pairs| {
        run(NOISY, NOISY, with_share(0.5), pairs, 7)
            .report()
            .verdict
    };
    assert_eq!(verdict(150), Verdict::Hold);
    assert_eq!(verdict(1_000), Verdict::Pass);
}

#[test]
fn a_regression_fails_by_its_own_path() {
    for (candidate, at) in [
        (
            Route {
                member: 0.3,
                ..NOISY
            },
            ("/bio", Kind::Missing),
        ),
        (
            Route {
                failed: 0.2,
                ..NOISY
            },
            ("", Kind::Status),
        ),
    ] {
        for share in [0.5, 0.95] {
            let ledger = run(NOISY, candidate, with_share(share), 2_000, 11);
            let report = ledger.report();
            assert_eq!(report.verdict, Verdict::Fail);
            let worse: Vec<_> = report.paths.iter().filter(|path| path.worse).collect();
            assert!(worse.iter().any(|path| path.at == Some(at)), "{worse:?}");
            assert!(
                worse
                    .iter()
                    .all(|path| path.at != Some(("/id", Kind::Value)))
            );
        }
    }
}

#[test]
fn confirming_calls_stay_in_their_budget_and_leave_hopeless_paths_alone() {
    let ids_only = Route {
        member: 1.0,
        values: 1,
        failed: 0.0,
    };
    let calls = |route| {
        run(route, route, with_share(0.95), 2_000, 3)
            .report()
            .confirming
    };
    assert_eq!(calls(ids_only), 8);
    assert!(calls(NOISY) > 8 && calls(NOISY) <= 64 + 200);
}

#[test]
fn writes_are_judged_by_labels_alone() {
    let settings = Settings {
        confirm_per_raw: None,
        ..with_share(0.5)
    };
    let broken = Route {
        failed: 0.5,
        ..NOISY
    };
    let ledger = run(NOISY, broken, settings, 400, 5);
    let report = ledger.report();
    assert_eq!((report.verdict, report.confirming), (Verdict::Fail, 0));
    // Nothing to compare the noise with: no verdict but hold.
    let settings = Settings {
        raw_share: 1.0,
        ..settings
    };
    assert_eq!(
        run(NOISY, broken, settings, 400, 5).report().verdict,
        Verdict::Hold
    );
}

#[test]
fn a_path_once_worse_stays_worse() {
    let rule = Rule::new(with_share(0.5));
    let mut ledger = Ledger::new(rule);
    for n in 0..40 {
        let pair = if n % 2 == 0 { Pair::Raw } else { Pair::Noise };
        ledger.observe(
            pair,
            &found(if pair == Pair::Raw {
                &[("/a", Kind::Value)]
            } else {
                &[]
            }),
        );
        ledger.settle_alone();
    }
    assert_eq!(ledger.report().verdict, Verdict::Fail);
    for _ in 0..1_000 {
        ledger.observe(Pair::Noise, &found(&[("/a", Kind::Value)]));
        ledger.settle_alone();
    }
    assert_eq!(ledger.report().verdict, Verdict::Fail);
}

#[test]
fn a_member_of_the_mirrored_kind_takes_stables_odd_ones() {
    let mut evidence = Evidence::new(&Rule::new(Settings::default()));
    let missing = found(&[("/bio", Kind::Missing)]);
    let extra = found(&[("/bio", Kind::Extra)]);
    let nothing = found(&[]);
    // Stable and stable again have it, the candidate has not.
    evidence.confirm(&missing, &nothing, &missing);
    // Only stable's first answer has it: the mirror of an odd candidate that is `extra`.
    evidence.confirm(&missing, &missing, &nothing);
    // The candidate alone has it.
    evidence.confirm(&extra, &nothing, &extra);
    let coin = |evidence: &mut Evidence, kind| evidence.track("/bio", kind).unwrap().coin;
    let (missing, extra) = (
        coin(&mut evidence, Kind::Missing),
        coin(&mut evidence, Kind::Extra),
    );
    assert_eq!((missing.candidate, missing.stable), (1, 0));
    assert_eq!((extra.candidate, extra.stable), (1, 1));
}

#[test]
fn paths_past_the_bound_are_counted_together() {
    let rule = Rule::new(with_share(0.5));
    let mut evidence = Evidence::new(&rule);
    let names: Vec<String> = (0..600).map(|n| format!("/{n}")).collect();
    let all: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), Kind::Missing))
        .collect();
    evidence.observe(Pair::Noise, &found(&all[..300]));
    for _ in 0..60 {
        evidence.observe(Pair::Raw, &found(&all[300..]));
        evidence.observe(Pair::Noise, &found(&[]));
    }
    evidence.observe(Pair::Raw, &found(&[("", Kind::Status)]));
    evidence.judge(&rule);
    let report = evidence.report(&rule);
    assert_eq!(report.paths.len(), MAX_PATHS + 2);
    let last = report.paths.last().unwrap();
    assert_eq!(
        (last.at, last.raw, last.noise, last.worse),
        (None, 60, 1, true)
    );
    assert!(!evidence.is_open(&found(&all[400..])));
}

#[test]
fn long_paths_are_kept_short_and_apart() {
    let mut evidence = Evidence::new(&Rule::new(Settings::default()));
    let long = "/ü".repeat(10_000);
    let other = format!("{long}x");
    evidence.observe(
        Pair::Raw,
        &found(&[(&long, Kind::Value), (&other, Kind::Value)]),
    );
    evidence.observe(Pair::Raw, &found(&[(&long, Kind::Value)]));
    let counts: Vec<_> = evidence
        .tracks
        .iter()
        .map(|((path, _), (_, track))| (path.len(), track.raw))
        .collect();
    assert!(counts.iter().all(|&(length, _)| length <= MAX_NAME));
    assert_eq!(counts.iter().map(|&(_, raw)| raw).sum::<u64>(), 3);
    assert_eq!(counts.len(), 2);
}

#[test]
fn workers_that_publish_in_turn_count_what_one_would() {
    let rule = Rule::new(with_share(0.5));
    let mut alone = Ledger::new(rule.clone());
    let mut workers = [Ledger::new(rule.clone()), Ledger::new(rule)];
    let mut stored: Option<Vec<u8>> = None;
    let mut draws = Draws(9);
    for n in 0..300_usize {
        let (a, b, c) = (
            NOISY.answer(&mut draws),
            NOISY.answer(&mut draws),
            NOISY.answer(&mut draws),
        );
        let pair = if draws.chance(0.5) {
            Pair::Raw
        } else {
            Pair::Noise
        };
        let worker = &mut workers[n % 2];
        for ledger in [&mut alone, worker] {
            ledger.observe(pair, &between(a, b));
            if pair == Pair::Raw {
                ledger.confirm(&between(a, b), &between(a, c), &between(c, b));
            }
        }
        alone.settle_alone();
        if n % 7 == 0 || n >= 298 {
            assert!(worker.is_fresh());
            let read = stored.as_deref().and_then(Evidence::from_bytes);
            let merged = worker.merged(read.as_ref());
            stored = Some(merged.to_bytes());
            worker.settle(merged);
            assert!(!worker.is_fresh());
        }
    }
    let merged = Evidence::from_bytes(&stored.unwrap()).unwrap();
    let counts = |evidence: &Evidence| {
        let tracks = evidence.tracks.iter();
        tracks
            .map(|(key, (_, track))| (key.clone(), track.raw, track.noise, track.coin))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (merged.raw, merged.noise),
        (alone.report().raw, alone.report().noise)
    );
    assert_eq!(counts(&merged), counts(&alone.merged(None)));
}

#[test]
fn evidence_about_something_else_is_not_added_to() {
    let about = |about, raw_share| {
        Rule::new(Settings {
            about,
            ..with_share(raw_share)
        })
    };
    let mut ledger = Ledger::new(about(1, 0.5));
    ledger.observe(Pair::Raw, &found(&[]));
    for (other, expected) in [(about(1, 0.5), 2), (about(2, 0.5), 1), (about(1, 0.6), 1)] {
        let mut stored = Evidence::new(&other);
        stored.observe(Pair::Raw, &found(&[]));
        assert_eq!(ledger.merged(Some(&stored)).raw, expected);
    }
}

fn some_evidence(seed: u64) -> Evidence {
    run(
        NOISY,
        Route {
            failed: 0.3,
            ..NOISY
        },
        with_share(0.5),
        300,
        seed,
    )
    .merged(None)
}

#[test]
fn evidence_comes_back_from_its_bytes() {
    for seed in 0..5 {
        let evidence = some_evidence(seed);
        assert!(evidence.raw > 100 && evidence.tracks.len() > 3);
        assert_eq!(Evidence::from_bytes(&evidence.to_bytes()), Some(evidence));
    }
}

#[test]
fn a_full_state_stays_small() {
    let mut evidence = Evidence::new(&Rule::new(Settings::default()));
    for n in 0..1_000 {
        evidence.observe(
            Pair::Raw,
            &found(&[(&format!("/items/*/member_{n}"), Kind::Value)]),
        );
    }
    assert!(evidence.to_bytes().len() < 8_000);
}

proptest! {
    #[test]
    fn damaged_bytes_count_as_absent(at: prop::sample::Index, flip in 1_u8..) {
        static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| some_evidence(1).to_bytes());
        let mut bytes = BYTES.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert_eq!(Evidence::from_bytes(&bytes), None);
        bytes[at] ^= flip;
        bytes.truncate(at);
        prop_assert_eq!(Evidence::from_bytes(&bytes), None);
    }

    #[test]
    fn foreign_bytes_with_a_right_checksum_are_no_harm(body in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut bytes = [&b"SD\x02"[..], &body].concat();
        bytes.extend(crate::shadow::crc32::crc32(&bytes).to_le_bytes());
        if let Some(read) = Evidence::from_bytes(&bytes) {
            prop_assert_eq!(Evidence::from_bytes(&read.to_bytes()), Some(read));
        }
    }
}
