//! The schemes against values computed with the vendors' own SDKs (each file names its source).
//!
//! The checks are plain functions, so that the native tests and those on wasm32 run the same.

use serde_json::Value;
use serinus::assign::hash::launchdarkly::{self, Prefix};
use serinus::assign::hash::{self, Scheme, flagd, unleash};
use serinus::assign::share::{Claim, SLOTS, Share, Shares, Slot};
use std::num::NonZeroU32;

/// The schemes that have a file of cases, and that file.
pub const FILES: [(&str, &str); 5] = [
    ("slot", include_str!("slot.json")),
    ("murmur3_x86_32", include_str!("murmur3_x86_32.json")),
    ("unleash", include_str!("unleash.json")),
    ("flagd", include_str!("flagd.json")),
    ("launchdarkly", include_str!("launchdarkly.json")),
];

/// The cases of a scheme.
pub fn cases(scheme: &str) -> Vec<Value> {
    let (_, text) = FILES.iter().find(|(name, _)| *name == scheme).unwrap();
    let mut file: Value = serde_json::from_str(text).unwrap();
    let cases = file["cases"].as_array_mut().unwrap();
    assert!(cases.len() > 100, "{scheme}: a file of cases");
    std::mem::take(cases)
}

/// What a case of `scheme` says the hash gives.
pub fn expected<'a>(scheme: &str, case: &'a Value) -> &'a Value {
    match scheme {
        "slot" => &case["slot"],
        "murmur3_x86_32" => &case["hash"],
        "unleash" => case.get("value_utf8").unwrap_or(&case["value"]),
        "flagd" => &case["variant"],
        "launchdarkly" => &case["bucket"],
        _ => panic!("{scheme}: no such scheme"),
    }
}

/// Whether the SDK's bucket and ours are the same but for the last digits of their decimals.
pub fn same_bucket(ours: f64, theirs: f64) -> bool {
    (ours - theirs).abs() <= 1e-12
}

/// Whether a first variant of this share (parts per million) owns the slot.
fn on(slot: Slot, ppm: u32) -> bool {
    let share = Share::from_ppm(ppm).unwrap();
    let shares = Shares::lay_out(&[Claim { share, from: None }]).unwrap();
    shares.owner(slot) == Some(0)
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap()
}

fn number(case: &Value, field: &str) -> u32 {
    case[field].as_u64().unwrap().try_into().unwrap()
}

/// The hash itself, and that it does not matter where the text is cut.
pub fn murmur3_gives_the_reference_hash() {
    for case in cases("murmur3_x86_32") {
        let (bytes, seed) = (text(&case, "text").as_bytes(), number(&case, "seed"));
        let hash = number(&case, "hash");
        for cut in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(hash::murmur3_x86_32(&[head, tail], seed), hash, "{case}");
        }
    }
}

/// Slots, and canary or stable at nine shares.
pub fn slots_and_sides_are_those_of_the_default_scheme() {
    for case in cases("slot") {
        let key = text(&case, "key").as_bytes();
        let salt = text(&case, "salt").into();
        let slot = Scheme::Serinus { salt }.slot(key);
        assert_eq!(slot.get(), number(&case, "slot"), "{case}");
        for (ppm, canary) in case["canary"].as_object().unwrap() {
            assert_eq!(on(slot, ppm.parse().unwrap()), *canary, "{case} at {ppm}");
        }
    }
}

/// Values of rollouts and variants; a rollout's slot is on exactly where Unleash is.
pub fn unleash_gives_the_engines_value_and_side() {
    for case in cases("unleash") {
        let (group, id) = (text(&case, "group"), text(&case, "id").as_bytes());
        let normalizer = NonZeroU32::new(number(&case, "normalizer")).unwrap();
        let theirs = expected("unleash", &case).as_u64().unwrap() as u32;
        if text(&case, "kind") == "variant" {
            let ours = unleash::variant_value(group, id, normalizer);
            assert_eq!(ours, theirs, "{case}");
            continue;
        }
        let seed = number(&case, "seed");
        let ours = unleash::value(group, id, normalizer, seed);
        assert_eq!(ours, theirs, "{case}");
        let group = group.into();
        let scheme = Scheme::Unleash { group };
        let slot = scheme.slot(id);
        for percent in 0..=100 {
            let share = percent * scheme.share_step();
            assert_eq!(on(slot, share), theirs <= percent, "{case} at {percent} %");
        }
    }
}

/// Variants by weights; with two weights whose sum divides a million, the slot is on exactly
/// where flagd takes the first.
pub fn flagd_takes_the_same_variant_and_side() {
    let mut sides = 0;
    for case in cases("flagd") {
        let (flag, key) = match case["bucket_by"].as_str() {
            Some(text) => ("", text),
            None => (text(&case, "flag_key"), text(&case, "targeting_key")),
        };
        let pairs = case["weights"].as_array().unwrap();
        let weights: Vec<u32> = pairs
            .iter()
            .map(|w| w[1].as_u64().unwrap() as u32)
            .collect();
        let hash = flagd::hash(&[flag.as_bytes(), key.as_bytes()]);
        assert_eq!(hash, number(&case, "hash"), "{case}");
        let variant = flagd::pick(hash, &weights).map_or(&Value::Null, |i| &pairs[i][0]);
        assert_eq!(variant, &case["variant"], "{case}");

        let total: u32 = weights.iter().sum();
        if let ([first, _], 0) = (weights.as_slice(), SLOTS.checked_rem(total).unwrap()) {
            let flag = flag.into();
            let slot = Scheme::Flagd { flag }.slot(key.as_bytes());
            let theirs = case["variant"] == pairs[0][0];
            assert_eq!(on(slot, first * (SLOTS / total)), theirs, "{case}");
            sides += 1;
        }
    }
    assert!(sides > 100, "{sides} cases of two weights");
}

/// Buckets; the slot is on exactly where LaunchDarkly's comparison with a weight is.
pub fn launchdarkly_gives_the_sdks_bucket_and_side() {
    for case in cases("launchdarkly") {
        let (flag, salt) = (text(&case, "key"), text(&case, "salt"));
        let (seed, theirs) = (case["seed"].as_i64(), case["bucket"].as_f64().unwrap());
        let value = match &case["value"] {
            Value::String(text) => text.clone(),
            Value::Number(number) if number.is_i64() => number.to_string(),
            _ => {
                // Never hashed: the SDK gives the first bucket. `serinus hash` does it too.
                assert_eq!(theirs, 0.0, "{case}");
                continue;
            }
        };
        let ours = launchdarkly::bucket(Prefix::new(flag, salt, seed), value.as_bytes());
        assert!(same_bucket(ours, theirs), "{ours}: {case}");
        let (flag, salt) = (flag.into(), salt.into());
        let slot = Scheme::LaunchDarkly { flag, salt, seed }.slot(value.as_bytes());
        let border = (theirs * 100_000.0) as u32;
        for weight in [0, 1, 1_000, 50_000, border, border + 1, 99_999, 100_000] {
            let side = theirs < f64::from(weight) / 100_000.0;
            assert_eq!(on(slot, weight * 10), side, "{case} at weight {weight}");
        }
    }
}
