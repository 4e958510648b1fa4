//! The default scheme over whole populations: shares, evenness, independence of two salts.
//!
//! `vectors/slot_stats.json` has the counts of another implementation; its `uuid` populations are
//! left out here, because making those ids takes MD5 and a million of them would prove no more.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

use serde_json::Value;
use serinus::assign::hash;
use serinus::assign::share::{Claim, SLOTS, Share, Shares, Slot};
use std::fmt::Write;

const SALTS: [&str; 2] = ["checkout", "web-canary"];

/// The slots of a population under each of [`SALTS`].
fn slots(write_id: impl Fn(usize, &mut String)) -> [Vec<Slot>; 2] {
    let mut slots = [const { Vec::new() }; 2];
    let mut id = String::new();
    for i in 1..=1_000_000 {
        id.clear();
        write_id(i, &mut id);
        for (salt, slots) in SALTS.iter().zip(&mut slots) {
            slots.push(hash::slot(salt, id.as_bytes()));
        }
    }
    slots
}

fn number(case: &Value, field: &str) -> f64 {
    case[field].as_f64().unwrap()
}

/// Pearson's statistic of counts against what was expected of each.
fn chi2(counts: impl Iterator<Item = (f64, f64)>) -> f64 {
    counts
        .map(|(seen, mean)| (seen - mean).powi(2) / mean)
        .sum()
}

fn check_share(case: &Value, slots: &[Slot]) {
    let share = number(case, "share_ppm");
    let canary = slots
        .iter()
        .filter(|slot| f64::from(slot.get()) < share)
        .count() as f64;
    assert_eq!(canary, number(case, "canary"), "{case}");
    let (n, p) = (slots.len() as f64, share / f64::from(SLOTS));
    let z = (canary - n * p) / (n * p * (1.0 - p)).sqrt();
    assert!((z - number(case, "z")).abs() < 1e-4, "{z}: {case}");
}

fn check_uniformity(case: &Value, slots: &[Slot]) {
    let mut buckets = [0_u32; 100];
    for slot in slots {
        buckets[slot.get() as usize / 10_000] += 1;
    }
    let (min, max) = (buckets.iter().min().unwrap(), buckets.iter().max().unwrap());
    assert_eq!(
        [*min, *max].map(f64::from),
        ["min_bucket", "max_bucket"].map(|f| number(case, f))
    );
    let mean = slots.len() as f64 / 100.0;
    let chi2 = chi2(buckets.iter().map(|&seen| (f64::from(seen), mean)));
    assert!((chi2 - number(case, "chi2")).abs() < 1e-3, "{chi2}: {case}");
}

fn check_independence(case: &Value, slots: &[Vec<Slot>; 2]) {
    let share = number(case, "share_ppm");
    let mut table = [0.0; 4];
    for (a, b) in slots[0].iter().zip(&slots[1]) {
        let [a, b] = [a, b].map(|slot| f64::from(slot.get()) >= share);
        table[usize::from(b) + 2 * usize::from(a)] += 1.0;
    }
    let fields = ["both", "only_a", "only_b", "neither"];
    assert_eq!(table, fields.map(|field| number(case, field)), "{case}");
    let [both, only_a, only_b, neither] = table;
    let n = slots[0].len() as f64;
    let (a, b) = (both + only_a, both + only_b);
    let means = [a * b, a * (n - b), (n - a) * b, (n - a) * (n - b)].map(|mean| mean / n);
    let chi2 = chi2([both, only_a, only_b, neither].into_iter().zip(means));
    assert!((chi2 - number(case, "chi2")).abs() < 1e-3, "{chi2}: {case}");
}

/// Runs every case of a population; `count` guards against running none.
fn check_population(ids: &str, count: usize, write_id: impl Fn(usize, &mut String)) {
    let slots = slots(write_id);
    let file: Value = serde_json::from_str(include_str!("vectors/slot_stats.json")).unwrap();
    let cases = file["cases"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|case| case["ids"] == ids);
    assert_eq!(cases.clone().count(), count);
    for case in cases {
        let salt = SALTS.iter().position(|salt| case["salt"] == *salt);
        match (case["stat"].as_str().unwrap(), salt) {
            ("share", Some(salt)) => check_share(case, &slots[salt]),
            ("uniformity", Some(salt)) => check_uniformity(case, &slots[salt]),
            ("independence", None) => check_independence(case, &slots),
            other => panic!("{other:?}: {case}"),
        }
    }
}

#[test]
fn sequential_ids_draw_evenly_and_independently() {
    check_population("sequential", 9, |i, id| write!(id, "user-{i}").unwrap());
}

#[test]
fn email_addresses_draw_evenly_and_independently() {
    const FIRST: [&str; 10] = [
        "anna", "ben", "chen", "dora", "emil", "fatima", "george", "hana", "ivan", "julia",
    ];
    const DOMAIN: [&str; 3] = ["example.com", "mail.example.org", "example.net"];
    check_population("email", 8, |i, id| {
        write!(id, "{}.{i}@{}", FIRST[i % 10], DOMAIN[i % 3]).unwrap();
    });
}

#[test]
fn one_percent_of_many_keys_stay_in_when_it_becomes_two() {
    let at = |percent: u32| {
        let share = Share::from_ppm(percent * 10_000).unwrap();
        let shares = Shares::lay_out(&[Claim { share, from: None }]).unwrap();
        let in_canary = |i: &u32| {
            let slot = hash::slot("checkout-2026-11", format!("user-{i}").as_bytes());
            shares.owner(slot).is_some()
        };
        (0..100_000).filter(in_canary).collect::<Vec<u32>>()
    };
    let (one, two) = (at(1), at(2));
    for (members, p) in [(&one, 0.01), (&two, 0.02)] {
        let sigma = (100_000.0_f64 * p * (1.0 - p)).sqrt();
        assert!(
            (members.len() as f64 - 100_000.0 * p).abs() < 3.0 * sigma,
            "{}",
            members.len()
        );
    }
    assert!(one.iter().all(|user| two.binary_search(user).is_ok()));
}
