//! The traces of tests/gate through `serinus judge`: bad canaries are shut in time, good ones
//! never, and what is no trace is refused.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod tool;

use flate2::read::GzDecoder;
use serde_json::Value;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Output;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gate")
}

fn trace(name: &str) -> String {
    let file = File::open(folder().join(format!("{name}.jsonl.gz"))).unwrap();
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

fn judge(options: &[&str], text: &str) -> Output {
    tool::serinus(&[&["judge"], options].concat(), text)
}

/// The lines of a replay that went well.
fn replay(text: &str) -> Vec<Value> {
    let output = judge(&[], text);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{said}"
    );
    said.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn shut_at(lines: &[Value]) -> Option<u64> {
    lines.last().unwrap()["shut_at"].as_u64()
}

fn expected() -> Vec<(String, Value)> {
    let text = fs::read_to_string(folder().join("expected.json")).unwrap();
    let all: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    all.into_iter().collect()
}

/// The limits are one run's luck: three may be missed, by no more than as much again.
#[test]
fn bad_canaries_are_shut_after_the_onset_and_in_time() {
    let mut late = Vec::new();
    for (name, expected) in expected() {
        if expected["truth"] != "bad" {
            continue;
        }
        let lines = replay(&trace(&name));
        let onset = expected["must_not_close_before_tick"].as_u64().unwrap();
        let limit = expected["must_close_within_s"].as_u64().unwrap();
        let shut = shut_at(&lines).unwrap_or_else(|| panic!("{name} was never shut"));
        assert!(shut >= onset, "{name} was shut at {shut}, before {onset}");
        let delay = shut - onset + 1;
        assert!(delay <= 2 * limit, "{name}: {delay} s, limit {limit}");
        if delay > limit {
            late.push(name.clone());
        }
        assert_eq!(lines.last().unwrap()["verdict"], "fail", "{name}");
    }
    assert!(late.len() <= 3, "late: {late:?}");
}

#[test]
fn good_canaries_are_never_shut_and_idle_ones_never_pass() {
    for (name, expected) in expected() {
        if expected["truth"] == "bad" {
            continue;
        }
        let lines = replay(&trace(&name));
        assert_eq!(shut_at(&lines), None, "{name}");
        assert_eq!(lines.len(), 1, "{name}");
        if expected["truth"] == "hold" {
            assert_eq!(lines[0]["verdict"], "hold", "{name}");
        }
    }
}

#[test]
fn every_trace_is_expected_and_there() {
    let names = fs::read_dir(folder()).unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.strip_suffix(".jsonl.gz").map(str::to_owned)
    });
    let mut names: Vec<_> = names.collect();
    names.sort();
    let expected: Vec<_> = expected().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, expected);
}

#[test]
fn a_long_good_run_passes() {
    for name in ["aa_24h_100rps_5pct", "share_steps_good", "user_mix_1.1x"] {
        assert_eq!(replay(&trace(name))[0]["verdict"], "pass", "{name}");
    }
}

#[test]
fn an_outage_of_both_at_the_end_holds() {
    for name in ["shared_outage_5pct_1pctshare", "shared_outage_ramp"] {
        assert_eq!(replay(&trace(name))[0]["verdict"], "hold", "{name}");
    }
}

#[test]
fn without_thresholds_in_the_header_they_are_learned_from_stable() {
    for name in ["lat_p99x2_1krps", "lat_p50+20pct_1krps", "lat_x3_100rps"] {
        let text = trace(name);
        let (header, ticks) = text.split_once('\n').unwrap();
        let mut header: Value = serde_json::from_str(header).unwrap();
        let fields = header.as_object_mut().unwrap();
        fields.remove("slow_ms");
        fields.remove("slow90_ms");
        let learned = replay(&format!("{header}\n{ticks}"));
        let given = replay(&text);
        let (learned, given) = (shut_at(&learned).unwrap(), shut_at(&given).unwrap());
        assert!(
            (300..=2 * given - 300 + 5).contains(&learned),
            "{name}: {learned}, {given}"
        );
    }
    let text = trace("shared_lat_x3").replacen("\"slow_ms\":250,\"slow90_ms\":100,", "", 1);
    assert!(!text.contains("slow_ms"));
    assert_eq!(shut_at(&replay(&text)), None);
}

#[test]
fn a_change_says_when_what_why_and_on_which_counts() {
    let lines = replay(&trace("crash_1krps_1pct"));
    assert_eq!(lines.len(), 2);
    let change = &lines[0];
    assert_eq!(change["t"], 300);
    assert_eq!(change["state"], "shut");
    assert_eq!(change["reason"], "failing");
    assert_eq!(change["signal"], "errors");
    assert_eq!(
        change["evidence"]["canary"]["n"],
        change["evidence"]["canary"]["k"]
    );
    assert_eq!(lines[1]["verdict"], "fail");
    assert_eq!(lines[1]["shut_at"], 300);
}

#[test]
fn the_status_tells_a_fail_only_if_asked() {
    let text = trace("crash_1krps_1pct");
    assert_eq!(judge(&["-"], &text).status.code(), Some(0));
    assert_eq!(judge(&["--exit-code"], &text).status.code(), Some(1));
    assert_eq!(
        judge(&["--exit-code"], &trace("low_1rps_1pct_idle"))
            .status
            .code(),
        Some(0)
    );
}

#[test]
fn what_is_no_trace_is_refused_with_its_line() {
    for (text, says) in [
        ("{}\n{\"t\":0}\nnonsense\n", "standard input:3:"),
        ("{}\n{\"t\":\"now\"}\n", "standard input:2:"),
        ("{\"tick_ms\":0}\n", "tick_ms"),
        ("{\"grace_s\":-1}\n", "grace_s"),
        ("{\"share_ppm\":1000001}\n", "share_ppm"),
        ("{\"latency_le_ms\":[2,1]}\n", "latency_le_ms"),
    ] {
        let output = judge(&[], text);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(said.contains(says), "{said}");
    }
    let output = judge(&["/nowhere/at/all"], "");
    assert_eq!(output.status.code(), Some(2));
}

/// Each line is wrong in its own way; the canary among them fails wholly.
#[test]
fn ticks_that_make_no_sense_are_held() {
    let odd = [
        r#"{"t":T,"stable":{"n":1000,"errors":2},"canary":null}"#,
        r#"{"t":T,"canary":{"n":50,"errors":50}}"#,
        r#"{"t":T,"stable":{"n":1000},"canary":{"n":50,"errors":51}}"#,
        r#"{"t":T,"stable":{"n":-1000},"canary":{"n":50,"errors":50}}"#,
        r#"{"t":T,"stable":{"n":1000},"canary":{"n":50,"errors":-50}}"#,
        r#"{"t":T,"stable":{"n":1000},"canary":{"n":0.5,"errors":0.5}}"#,
        r#"{"t":T,"stable":{"n":1e300},"canary":{"n":1e300,"errors":1e300}}"#,
        r#"{"t":-5,"stable":{"n":1000},"canary":{"n":50,"errors":50}}"#,
        r#"{"t":7,"stable":{"n":1000},"canary":{"n":50,"errors":50}}"#,
        r#"{"t":T,"share_ppm":1000000,"stable":{"n":0},"canary":{"n":1000,"errors":1000}}"#,
        r#"{"t":T,"share_ppm":0,"stable":{"n":1000},"canary":{"n":0}}"#,
        r#"{"t":T}"#,
    ];
    for line in odd {
        let mut text = String::from("{\"tick_ms\":1000,\"grace_s\":0,\"slow_ms\":250}\n");
        for t in 10..700 {
            text.push_str(&line.replace('T', &t.to_string()));
            text.push('\n');
        }
        let lines = replay(&text);
        // Of the tick that only ever comes again the first is as good as any.
        let fails_once = line.contains("\"t\":7");
        assert!(
            shut_at(&lines).is_none_or(|t| fails_once && t == 7),
            "{line}"
        );
    }
}
