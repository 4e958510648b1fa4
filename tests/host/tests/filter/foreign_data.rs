//! Whatever stands in shared data, of another version or of nobody, counts as absent.

use serinus_host_tests::{Filter, Process, Response};

use crate::policies::{CANARY, COUNTED};
use crate::{BAD_POLICY, beats, document, ledger, of_caller, request, series, variant, worker_of};

/// Every key that the filter has.
fn keys() -> Vec<String> {
    let slots = |part: &'static str| (0..16).map(move |n| format!("shop.health.{part}{n}"));
    let others = [
        "shop.health.slow",
        "shop.gate.orders",
        "shop.lease",
        "serinus.policy.serinus.serinus",
    ];
    let others = others.map(str::to_owned);
    let gates = (0..16).map(|n| format!("shop.gate.{n}"));
    let health = slots("").chain(slots("windows."));
    health.chain(gates).chain(others).collect()
}

/// A proxy after enough traffic that every key has a value; the filter's own way to it.
fn lived() -> (Process, Filter) {
    let process = Process::new();
    let mut filter = worker_of(&process, COUNTED);
    for n in 0..600 {
        filter.request(of_caller(n));
    }
    beats(&process, [&mut filter], 8);
    (process, filter)
}

/// Bytes that are not of this filter, and broken ones that are.
pub fn foreign(sound: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![
        Vec::new(),
        vec![0],
        b"SRN1".to_vec(),
        b"SRH1".to_vec(),
        b"SRK1".to_vec(),
        b"SRB1".to_vec(),
        b"SRL1".to_vec(),
        b"SGs\x02".to_vec(),
        b"SGo\x01".to_vec(),
        vec![0xff; 64],
        b"SRH1\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        b"SRK1\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec(),
        vec![b'{'; 100_000],
        [sound, b"\0"].concat(),
        sound.iter().map(|byte| !byte).collect(),
    ];
    let step = (sound.len() / 40).max(1);
    for at in (0..sound.len()).step_by(step) {
        all.push(sound[..at].to_vec());
        let mut flipped = sound.to_vec();
        flipped[at] ^= 0x41;
        all.push(flipped);
    }
    all
}

#[test]
fn the_filter_writes_no_keys_but_those_named_here() {
    let (process, mut filter) = lived();
    for _ in 0..30 {
        for n in 0..20 {
            filter.request(of_caller(n));
        }
        beats(&process, [&mut filter], 4);
    }
    let known = keys();
    let other: Vec<_> = process
        .shared_keys()
        .into_iter()
        .filter(|key| !known.contains(key))
        .collect();
    assert!(other.is_empty(), "{other:?}");
}

#[test]
fn foreign_bytes_in_any_key_do_no_harm_and_count_as_absent() {
    for key in keys() {
        let (process, _) = lived();
        let sound = process.shared_data(&key).unwrap_or_default();
        for bytes in foreign(&sound) {
            let told = format!("{key}: {} bytes", bytes.len());
            let process = Process::new();
            process.put_shared_data(&key, &bytes);
            let mut filter = worker_of(&process, COUNTED);
            for n in 0..4 {
                filter.request(of_caller(n).answered(Response::status(500)));
            }
            beats(&process, [&mut filter], 8);
            let counts = ["stable", "canary"].map(|side| ledger(&mut filter, side));
            let failed = counts
                .iter()
                .flatten()
                .find(|(word, _)| word == "error_status");
            assert!(failed.is_some(), "{told}");
            // A slot whose bytes are whole, or broken in one route, may count on from there.
            if bytes.is_empty() || !bytes.starts_with(b"SR") {
                let sum: u64 = counts.iter().flatten().map(|(_, count)| count).sum();
                assert_eq!(sum, 4, "{told}");
            }
            let asked = series("canary", "", "serinus_share_asked_ppm");
            if key != "shop.lease" {
                assert_eq!(
                    process.metric(&asked),
                    Some(500_000),
                    "{told}: somebody watches"
                );
            }
        }
    }
}

#[test]
fn bytes_that_turn_foreign_while_the_filter_runs_do_no_harm() {
    let (process, mut filter) = lived();
    for bytes in foreign(&process.shared_data("shop.health.slow").unwrap_or_default()) {
        for key in keys() {
            process.put_shared_data(&key, &bytes);
        }
        filter.request(of_caller(1));
        beats(&process, [&mut filter], 20);
        document(&mut filter);
        filter.configure(COUNTED);
    }
    let before: u64 = total(&mut filter);
    filter.request(of_caller(1));
    beats(&process, [&mut filter], 4);
    assert_eq!(total(&mut filter), before + 1);
}

fn total(filter: &mut Filter) -> u64 {
    let counts = ["stable", "canary"].map(|side| ledger(filter, side));
    counts.iter().flatten().map(|(_, count)| count).sum()
}

#[test]
fn a_lease_of_foreign_bytes_is_taken_at_once() {
    let asked = series("canary", "", "serinus_share_asked_ppm");
    for bytes in [&b""[..], b"garbage", b"SRL1", &[0xff; 32], &[0; 33]] {
        let process = Process::new();
        process.put_shared_data("shop.lease", bytes);
        let mut filter = worker_of(&process, COUNTED);
        beats(&process, [&mut filter], 4);
        assert_eq!(process.metric(&asked), Some(500_000), "{bytes:?}");
    }
}

#[test]
fn a_kept_policy_that_is_damaged_is_none() {
    let key = "serinus.policy.serinus.serinus";
    let process = Process::new();
    worker_of(&process, CANARY);
    let sound = process.shared_data(key).expect("the last good policy");
    for bytes in foreign(&sound) {
        process.put_shared_data(key, &bytes);
        let mut filter = worker_of(&process, BAD_POLICY);
        assert_eq!(variant(&filter.request(request())), "stable");
    }
    process.put_shared_data(key, &sound);
    let mut filter = worker_of(&process, BAD_POLICY);
    assert_eq!(variant(&filter.request(request())), "canary");
}
