//! Policies that are refused: the host is told yes, the last good policy serves on, and with none
//! everything passes as stable.

use serinus_host_tests::{LogLevel, Process};

use crate::policies::{CANARY, STABLE, with_routes_before};
use crate::{BAD_POLICY, request, variant, worker, worker_of};

fn bad_policies() -> Vec<(&'static str, Vec<u8>)> {
    let bad = |text: &str| text.as_bytes().to_vec();
    vec![
        ("nothing", Vec::new()),
        ("a brace", bad("{")),
        ("null", bad("null")),
        ("a list", bad("[]")),
        (
            "a Struct as Envoy hands it over",
            b"\n\x11\n\x04name\x12\t\x1a\x07serinus".to_vec(),
        ),
        ("bytes", vec![0xff, 0xfe, 0, 0x80]),
        ("text behind it", bad(&format!("{CANARY} x"))),
        (
            "an unknown key",
            bad(&CANARY.replacen("routes", "roads", 1)),
        ),
        (
            "a share over 100 %",
            bad(&CANARY.replacen("100%", "100.1%", 1)),
        ),
        ("a negative share", bad(&CANARY.replacen("100%", "-1%", 1))),
        (
            "a name twice",
            bad(&CANARY.replacen("]}]}", r#"]}, {"name": "checkout"}]}"#, 1)),
        ),
        (
            "a regex that does not compile",
            bad(r#"{"routes": [{"name": "a", "match": {"path": {"regex": "("}}}]}"#),
        ),
        (
            "a costly regex",
            bad(
                r#"{"routes": [{"name": "a", "match": {"path": {"regex": "((a{99}){99}){99}"}}}]}"#,
            ),
        ),
        (
            "what is not supported yet",
            bad(&CANARY.replacen("]}]}", r#"], "experiment": {"goals": []}}]}"#, 1)),
        ),
        ("deep nesting", bad(&"[".repeat(200_000))),
        ("deep objects", bad(&r#"{"routes":"#.repeat(50_000))),
        ("a megabyte of nothing", vec![b' '; 1 << 20]),
        ("a megabyte of text", vec![b'a'; 1 << 20]),
        (
            "a cut policy",
            CANARY.as_bytes()[..CANARY.len() - 3].to_vec(),
        ),
    ]
}

#[test]
fn a_bad_policy_is_accepted_and_everything_passes_as_stable() {
    for (what, policy) in bad_policies() {
        let mut filter = serinus_host_tests::Filter::new(&Process::new());
        let configured = filter.configure(&policy);
        assert!(configured.accepted, "{what}");
        let told = configured
            .logs
            .iter()
            .any(|line| line.level >= LogLevel::Warn);
        assert!(told, "{what}: the log says nothing");
        let outcome = filter.request(request().header("x-serinus-variant", "canary"));
        assert!(outcome.continued(), "{what}");
        assert_eq!(variant(&outcome), "stable", "{what}");
    }
}

#[test]
fn every_problem_is_in_the_log_with_its_place() {
    let policy = r#"{"colour": 1, "routes": [{"name": "Not A Name",
        "variants": [{"name": "canary", "share": "101%"}]}]}"#;
    let mut filter = serinus_host_tests::Filter::new(&Process::new());
    let logs = filter.configure(policy).logs;
    for place in ["colour", "routes[0].name", "routes[0].variants[0].share"] {
        let told = logs.iter().any(|line| line.text.contains(place));
        assert!(told, "{place} is not in {logs:#?}");
    }
}

#[test]
fn a_warning_is_in_the_log_and_the_policy_in_force() {
    let shadow = r#"], "shadow": {"cluster": "b", "noise": "0%", "methods": ["POST"],
        "writes": "allow"}}]}"#;
    let mut filter = serinus_host_tests::Filter::new(&Process::new());
    let logs = filter.configure(CANARY.replacen("]}]}", shadow, 1)).logs;
    let place = "serinus: policy: routes[0].shadow.methods[0]: warning: `POST` may write";
    let mut warnings = logs.iter().filter(|line| line.level == LogLevel::Warn);
    assert!(
        warnings.any(|line| line.text.starts_with(place)),
        "{logs:#?}"
    );
    assert_eq!(variant(&filter.request(request())), "canary");
}

#[test]
fn the_last_good_policy_serves_on_in_the_same_worker() {
    for (what, policy) in bad_policies() {
        let mut filter = worker(CANARY);
        assert!(filter.configure(&policy).accepted, "{what}");
        assert_eq!(variant(&filter.request(request())), "canary", "{what}");
    }
}

#[test]
fn a_new_worker_takes_the_last_good_policy_from_shared_data() {
    let process = Process::new();
    worker_of(&process, CANARY);
    let mut reloaded = worker_of(&process, BAD_POLICY);
    assert_eq!(variant(&reloaded.request(request())), "canary");
    let mut elsewhere = worker(BAD_POLICY);
    assert_eq!(
        variant(&elsewhere.request(request())),
        "stable",
        "another proxy knows nothing"
    );
}

#[test]
fn it_is_the_latest_good_policy_that_serves_on() {
    let process = Process::new();
    let mut filter = worker_of(&process, CANARY);
    filter.configure(STABLE);
    filter.configure(BAD_POLICY);
    assert_eq!(variant(&filter.request(request())), "stable");
}

#[test]
fn a_good_policy_heals() {
    let mut filter = worker(BAD_POLICY);
    filter.configure(CANARY);
    assert_eq!(variant(&filter.request(request())), "canary");
}

#[test]
fn a_gauge_says_whether_the_policy_is_refused() {
    let process = Process::new();
    let mut filter = worker_of(&process, CANARY);
    assert_eq!(process.metric("serinus_policy_rejected"), Some(0));
    filter.configure(BAD_POLICY);
    assert_eq!(process.metric("serinus_policy_rejected"), Some(1));
    filter.configure(CANARY);
    assert_eq!(process.metric("serinus_policy_rejected"), Some(0));
}

#[test]
fn foreign_or_damaged_shared_data_counts_as_absent() {
    let process = Process::new();
    worker_of(&process, CANARY);
    let sound: Vec<_> = process
        .shared_keys()
        .into_iter()
        .map(|key| (process.shared_data(&key).expect("a value"), key))
        .collect();
    for (value, key) in sound {
        for damaged in damage(&value) {
            process.put_shared_data(&key, &damaged);
            let mut filter = worker_of(&process, BAD_POLICY);
            let outcome = filter.request(request());
            assert!(outcome.continued());
            assert_eq!(
                variant(&outcome),
                "stable",
                "{} bytes in {key}",
                damaged.len()
            );
        }
    }
}

/// Values as they are after a crash, from another version, or from another plugin.
fn damage(value: &[u8]) -> Vec<Vec<u8>> {
    let mut flipped = value.to_vec();
    flipped[value.len() / 2] ^= 1;
    let mut other_version = value.to_vec();
    other_version[0] ^= 0x40;
    let cut = value[..value.len() - 1].to_vec();
    let garbage = vec![0xff; value.len()];
    vec![
        Vec::new(),
        vec![0],
        CANARY.into(),
        flipped,
        other_version,
        cut,
        garbage,
    ]
}

#[test]
fn a_policy_of_a_megabyte_and_one_of_500_routes_work() {
    let wide = with_routes_before(499);
    let padded = format!("{}{}", " ".repeat(1 << 20), CANARY);
    for policy in [wide, padded] {
        let outcome = worker(&policy).request(request());
        assert_eq!(variant(&outcome), "canary", "{} bytes", policy.len());
    }
}
