//! A flag with another vendor's hash gives each user what that vendor's SDK gives.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![allow(clippy::arithmetic_side_effects)]

use serde_json::{Value, json};
use serinus::assign::flags::Flag;
use serinus::policy;

#[allow(dead_code, reason = "the checks themselves run in hash_vectors.rs")]
mod vectors;

/// The flag with this hash, and values with these shares in parts per million.
fn flag(hash: &Value, values: &[(&str, u64)]) -> Flag {
    let percent = |ppm: u64| format!("{}.{:04}%", ppm / 10_000, ppm % 10_000);
    let values = values.iter();
    let values = values.map(|(value, ppm)| json!({"value": value, "share": percent(*ppm)}));
    let policy = json!({"flags": [{
        "name": "f", "key": [{"header": "x-user-id"}], "default": "none",
        "hash": hash, "values": values.collect::<Vec<_>>(),
    }]});
    let read = policy::read(policy.to_string().as_bytes());
    let mut policy = read.unwrap_or_else(|refusal| panic!("{policy}: {refusal}"));
    policy.assigner.flags.remove(0)
}

fn drawn(flag: &Flag, key: &str) -> String {
    let value = flag.drawn(key.as_bytes()).unwrap_or(0);
    flag.values[value].clone()
}

#[test]
fn flagd_takes_the_same_of_any_number_of_values() {
    let mut compared = 0;
    for case in vectors::cases("flagd") {
        let pairs = case["weights"].as_array().unwrap();
        let weights: Vec<u64> = pairs.iter().map(|pair| pair[1].as_u64().unwrap()).collect();
        let total: u64 = weights.iter().sum();
        let plain = case["bucket_by"].is_null() && weights.len() <= 16;
        let (Some(key), true) = (case["targeting_key"].as_str(), plain) else {
            continue;
        };
        if key.is_empty() || total == 0 || 1_000_000 % total != 0 {
            continue;
        }
        let names: Vec<String> = (0..weights.len())
            .map(|place| format!("v{place}"))
            .collect();
        let parts = weights.iter().map(|weight| weight * (1_000_000 / total));
        let values: Vec<(&str, u64)> = names.iter().map(String::as_str).zip(parts).collect();
        let hash = json!({"flagd": {"flag": case["flag_key"]}});
        let theirs = pairs.iter().position(|pair| pair[0] == case["variant"]);
        let ours = drawn(&flag(&hash, &values), key);
        assert_eq!(ours, names[theirs.unwrap()], "{case}");
        compared += 1;
    }
    assert!(compared > 100, "{compared} cases");
}

#[test]
fn launchdarkly_is_on_for_the_same_users_at_the_same_weights() {
    let mut compared = 0;
    for case in vectors::cases("launchdarkly") {
        let Some(key) = case["value"].as_str().filter(|key| !key.is_empty()) else {
            continue;
        };
        let mut named = json!({"flag": case["key"], "salt": case["salt"]});
        if !case["seed"].is_null() {
            named["seed"] = case["seed"].clone();
        }
        let bucket = case["bucket"].as_f64().unwrap();
        let border = (bucket * 100_000.0) as u64;
        for weight in [1_000, 50_000, border, (border + 1).min(100_000)] {
            // The second of three, and what is left.
            let first = weight / 3;
            let values = [("a", first * 10), ("b", (weight - first) * 10)];
            let theirs = match bucket {
                _ if bucket < first as f64 / 100_000.0 => "a",
                _ if bucket < weight as f64 / 100_000.0 => "b",
                _ => "none",
            };
            let ours = drawn(&flag(&json!({"launchdarkly": named}), &values), key);
            assert_eq!(ours, theirs, "{case} at {weight}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared} cases");
}

#[test]
fn unleash_lets_the_same_users_in_and_gives_them_the_same_variants() {
    let (mut rollouts, mut variants) = (0, 0);
    for case in vectors::cases("unleash") {
        let key = case["id"].as_str().unwrap();
        let theirs = vectors::expected("unleash", &case).as_u64().unwrap();
        let hash = json!({"unleash": {"group": case["group"]}});
        if key.is_empty() {
            continue;
        }
        let is_variant = case["kind"] == "variant";
        match (is_variant, case["normalizer"].as_u64().unwrap()) {
            (false, 100) => {
                for percent in [1, theirs - 1, theirs, 99] {
                    let on = flag(&hash, &[("on", percent * 10_000)]);
                    let expected = if theirs <= percent { "on" } else { "none" };
                    assert_eq!(drawn(&on, key), expected, "{case} at {percent}");
                }
                rollouts += 1;
            }
            // Everybody is let in; the borders lie at the case's own value, and beside it.
            (true, 1_000) => {
                for border in [theirs - 1, theirs, 333] {
                    let parts = [("a", border * 1_000), ("b", (1_000 - border) * 1_000)];
                    let expected = if theirs <= border { "a" } else { "b" };
                    assert_eq!(
                        drawn(&flag(&hash, &parts), key),
                        expected,
                        "{case} at {border}"
                    );
                }
                variants += 1;
            }
            _ => {}
        }
    }
    assert!(
        rollouts > 100 && variants > 20,
        "{rollouts} and {variants} cases"
    );
}
