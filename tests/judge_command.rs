//! `serinus judge` as a program: a policy's gate, and what Prometheus recorded. The traces have
//! tests of their own.
#![cfg(all(not(target_arch = "wasm32"), feature = "cli"))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

mod tool;

use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Output;

fn run(arguments: &[&str], input: &str) -> Output {
    tool::serinus(&[&["judge"], arguments].concat(), input)
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The lines of a replay that went well.
fn told(arguments: &[&str], input: &str) -> Vec<Value> {
    let output = run(arguments, input);
    assert!(output.status.success(), "{}", errors(&output));
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A policy in a file of this name, whose route `shop` has this gate.
fn policy(name: &str, gate: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let text = format!(
        r#"{{"routes": [{{"name": "shop", "key": [{{"header": "x"}}], "gate": {gate},
            "variants": [{{"name": "canary", "share": "5%"}}, {{"name": "green", "share": "5%"}}]}},
           {{"name": "alone"}}]}}"#
    );
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Ten minutes of a canary of which `percent` fails from the fifth minute on, where stable's rate is
/// 0.2 %.
fn trace(header: &Value, percent: u64) -> String {
    let ticks = (0..600_u64).map(|t| {
        let bad = if t < 300 { 0 } else { percent };
        json!({"t": t, "stable": {"n": 1000, "errors": 2}, "canary": {"n": 100, "errors": bad}})
    });
    let lines = std::iter::once(header.clone()).chain(ticks);
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_policys_gate_judges_and_the_header_beats_it() {
    let of_shop = |gate: &str, header: &Value| {
        let file = policy("judges.json", gate);
        let lines = told(&["--policy", &file, "--route", "shop"], &trace(header, 3));
        (
            lines[0]["reason"].clone(),
            lines[lines.len() - 1]["shut_at"].clone(),
        )
    };
    let none = json!({"tick_ms": 1000});
    let (reason, by_default) = of_shop("{}", &none);
    assert_eq!(reason, "worse");
    assert!((300..360).contains(&by_default.as_u64().unwrap()));
    let tolerant = of_shop(r#"{"tolerance": 20}"#, &none);
    assert_eq!(tolerant, (Value::Null, Value::Null));
    let limits = r#""limits": [{"signal": "errorRate", "above": "2%", "for": "2m"}]"#;
    let limited = of_shop(&format!(r#"{{"tolerance": 20, {limits}}}"#), &none);
    assert_eq!(limited, (json!("limit-errorRate"), json!(419)));
    let gate = r#"{"warmup": "0s"}"#;
    let warming = of_shop(gate, &json!({"tick_ms": 1000, "grace_s": 400}));
    assert!((400..430).contains(&warming.1.as_u64().unwrap()));
    assert!((300..400).contains(&of_shop(gate, &none).1.as_u64().unwrap()));
}

#[test]
fn that_a_person_holds_the_gate_changes_no_replay() {
    let free = policy("free.json", "{}");
    let held = policy("held.json", r#"{"held": "shut"}"#);
    let of = |file: &str| {
        told(
            &["--policy", file, "--route", "shop"],
            &trace(&json!({}), 100),
        )
    };
    assert_eq!(of(&held), of(&free));
    assert_eq!(of(&held)[0]["reason"], "failing");
}

#[test]
fn a_way_back_is_replayed_rung_by_rung() {
    let file = policy("back.json", r#"{"reopen": {"after": "30s", "max": "30m"}}"#);
    let lines: String = (0..900)
        .map(|t| {
            let bad = if (300..310).contains(&t) { 100 } else { 0 };
            let tick = json!({"t": t, "stable": {"n": 1000, "errors": 2},
                              "canary": {"n": 100, "errors": bad}});
            format!("{tick}\n")
        })
        .collect();
    let arguments = ["--policy", &file, "--route", "shop", "--variant", "green"];
    let lines = told(&arguments, &lines);
    let states: Vec<&Value> = lines.iter().map(|line| &line["state"]).collect();
    assert_eq!(states[..3], ["shut", "probing", "probing"]);
    assert_eq!(lines[lines.len() - 2]["reason"], "recovered");
    assert_eq!(lines[lines.len() - 1]["verdict"], "fail");
}

#[test]
fn what_is_not_of_the_policy_is_named_with_what_is() {
    let file = policy("unknown.json", "{}");
    let bad = policy("bad.json", r#"{"tolerance": 0, "warmup": "2d"}"#);
    let none = "/nowhere/at/all";
    for (arguments, says) in [
        (
            &["--policy", &file, "--route", "chop"][..],
            "no route `chop`; write one of shop, alone",
        ),
        (
            &["--policy", &file, "--route", "shop", "--variant", "blue"],
            "no variant `blue`; write one of canary, green",
        ),
        (&["--policy", &file, "--route", "alone"], "no variant"),
        (&["--policy", &file], "--route"),
        (&["--route", "shop"], "--policy FILE"),
        (
            &["--policy", &bad, "--route", "shop"],
            "gate.warmup: it is too long; at most 1d",
        ),
        (&["--policy", none, "--route", "shop"], none),
        (&["--from-prometheus", none], none),
        (
            &["--from-prometheus", &file, "trace"],
            "cannot be used with",
        ),
    ] {
        let output = run(arguments, "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(errors(&output).contains(says), "{}", errors(&output));
    }
}

const START: u64 = 1_795_251_600;
const STEP: u64 = 15;
/// Bounds of the histogram, and how many of a hundred requests are at most that slow.
const LATENCY: [(&str, u64); 5] = [
    ("10", 50),
    ("100", 90),
    ("250", 98),
    ("1000", 100),
    ("+Inf", 100),
];

/// A proxy's counters, of `samples` samples.
struct Proxy {
    name: &'static str,
    samples: u64,
    /// Errors of a hundred requests of the canary's at a sample.
    errors: fn(u64) -> u64,
    /// The same of stable's.
    of_stable: fn(u64) -> u64,
    /// Requests of the canary's at a sample that take longer than a second.
    slow: fn(u64) -> u64,
}

const GOOD: Proxy = Proxy {
    name: "a",
    samples: 240,
    errors: |_| 0,
    of_stable: |_| 0,
    slow: |_| 0,
};

/// A side's series of one metric, as (labels, counts by sample).
type Told = Vec<(Value, Vec<u64>)>;

impl Proxy {
    fn labels(&self, name: &str, variant: &str, label: &str, value: &str) -> Value {
        json!({"__name__": name, "route": "shop", "variant": variant, label: value,
               "instance": self.name, "job": "envoy"})
    }

    fn sums(&self, each: impl Fn(u64) -> u64) -> Vec<u64> {
        let mut sum = 1_000;
        (0..self.samples)
            .map(|sample| {
                sum += each(sample);
                sum
            })
            .collect()
    }

    fn requests(&self) -> Told {
        let mut told = Told::new();
        for (variant, scale, errors) in [("stable", 10, self.of_stable), ("canary", 1, self.errors)]
        {
            let of =
                |outcome: &str| self.labels("serinus_requests_total", variant, "outcome", outcome);
            told.push((of("ok"), self.sums(|at| scale * (100 - errors(at)))));
            told.push((of("error_status"), self.sums(|at| scale * errors(at))));
            // Neither says anything of the version.
            told.push((of("aborted"), self.sums(|_| scale * 70)));
        }
        told
    }

    fn latencies(&self) -> Told {
        let name = "serinus_request_duration_milliseconds_bucket";
        let mut told = Told::new();
        for (bound, part) in LATENCY {
            let of = |variant: &str| self.labels(name, variant, "le", bound);
            told.push((of("stable"), self.sums(|_| 10 * part)));
            let slow = |at| if bound == "+Inf" { 0 } else { (self.slow)(at) };
            told.push((of("canary"), self.sums(|at| part.saturating_sub(slow(at)))));
        }
        told
    }
}

fn answer(series: &Told) -> Value {
    let result: Vec<Value> = series
        .iter()
        .map(|(labels, counts)| {
            let values = (0..)
                .zip(counts)
                .map(|(sample, count)| json!([START + STEP * sample, count.to_string()]));
            json!({"metric": labels, "values": values.collect::<Vec<_>>()})
        })
        .collect();
    json!({"status": "success", "data": {"resultType": "matrix", "result": result}})
}

fn recorded(proxies: &[Proxy]) -> String {
    let of = |pick: fn(&Proxy) -> Told| {
        let all: Told = proxies.iter().flat_map(pick).collect();
        answer(&all).to_string()
    };
    of(Proxy::requests) + "\n" + &of(Proxy::latencies)
}

fn replay(input: &str) -> Vec<Value> {
    told(&["--from-prometheus", "-"], input)
}

/// The time of a sample.
fn at(sample: u64) -> u64 {
    START + STEP * sample
}

#[test]
fn an_incident_that_prometheus_recorded_is_replayed() {
    let incident = Proxy {
        errors: |at| if at < 120 { 0 } else { 30 },
        ..GOOD
    };
    let lines = replay(&recorded(&[incident]));
    let [change, last] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(change["signal"], "errors");
    let shut = change["t"].as_u64().unwrap();
    assert!((at(120)..=at(122)).contains(&shut), "{shut}");
    assert_eq!(last, &json!({"verdict": "fail", "shut_at": shut}));
    // What was aborted is no part of it.
    let canary = &change["evidence"]["canary"];
    assert!(canary["n"].as_u64().unwrap() % 100 == 0, "{canary}");
}

#[test]
fn slow_answers_show_in_the_histogram_of_both_sides() {
    let slow = Proxy {
        slow: |at| if at < 120 { 0 } else { 20 },
        ..GOOD
    };
    let input = recorded(&[slow]);
    assert_eq!(replay(&input)[0]["signal"], "slow");
    let (requests, _) = input.split_once('\n').unwrap();
    assert_eq!(replay(requests).len(), 1);
}

#[test]
fn a_good_hour_passes_and_what_both_suffer_shuts_nothing() {
    let lines = replay(&recorded(&[GOOD]));
    assert_eq!(lines, [json!({"verdict": "pass", "shut_at": null})]);
    let outage: fn(u64) -> u64 = |at| if at < 120 { 0 } else { 40 };
    let outage = Proxy {
        errors: outage,
        of_stable: outage,
        ..GOOD
    };
    let lines = replay(&recorded(&[outage]));
    assert_eq!(lines, [json!({"verdict": "hold", "shut_at": null})]);
}

#[test]
fn proxies_add_up_and_one_that_comes_or_goes_adds_no_errors() {
    // Its counters begin with a thousand of everything, errors too.
    let late = Proxy { name: "b", ..GOOD };
    let mut input: Value = serde_json::from_str(&answer(&GOOD.requests()).to_string()).unwrap();
    let mut other = answer(&late.requests());
    for series in other["data"]["result"].as_array_mut().unwrap() {
        series["values"].as_array_mut().unwrap().drain(..100);
        series["values"].as_array_mut().unwrap().truncate(50);
    }
    let all = input["data"]["result"].as_array_mut().unwrap();
    all.append(other["data"]["result"].as_array_mut().unwrap());
    assert_eq!(replay(&input.to_string())[0]["verdict"], "pass");

    let failing = Proxy {
        name: "b",
        errors: |at| if at < 120 { 0 } else { 60 },
        ..GOOD
    };
    let lines = replay(&recorded(&[GOOD, failing]));
    let shut = lines[lines.len() - 1]["shut_at"].as_u64().unwrap();
    assert!((at(120)..=at(122)).contains(&shut), "{shut}");
}

/// The answer to the requests' query, changed.
fn changed(of: &Proxy, change: impl Fn(&Value, &mut Vec<Value>)) -> String {
    let mut answer = answer(&of.requests());
    for series in answer["data"]["result"].as_array_mut().unwrap() {
        let labels = series["metric"].clone();
        change(&labels, series["values"].as_array_mut().unwrap());
    }
    answer.to_string()
}

#[test]
fn a_counter_that_fell_and_samples_that_are_missing_are_held() {
    // All of the canary fails in one step; whatever hides that step hides all of it.
    let crash = Proxy {
        errors: |at| if at == 120 { 100 } else { 0 },
        ..GOOD
    };
    let shut = changed(&crash, |_, _| {});
    assert_eq!(replay(&shut)[0]["t"], at(120));
    let reset = changed(&crash, |_, values| {
        for (sample, pair) in values.iter_mut().enumerate().skip(120) {
            pair[1] = json!((sample - 120).to_string());
        }
    });
    assert_eq!(replay(&reset).len(), 1);
    let of_one = |side: &'static str, values: fn(&mut Vec<Value>)| {
        changed(&crash, move |labels, all| {
            if labels["variant"] == side {
                values(all);
            }
        })
    };
    for side in ["stable", "canary"] {
        let missing = of_one(side, |values| drop(values.remove(120)));
        assert_eq!(replay(&missing).len(), 1, "{side}");
        let nan = of_one(side, |values| values[120][1] = json!("NaN"));
        assert_eq!(replay(&nan).len(), 1, "{side}");
    }
    let uneven = changed(&crash, |_, values| drop(values.drain(115..125)));
    assert_eq!(replay(&uneven).len(), 1);
}

#[test]
fn answers_come_in_a_row_in_lists_in_pieces_and_as_sums() {
    let incident = Proxy {
        errors: |at| if at < 120 { 0 } else { 30 },
        ..GOOD
    };
    let whole = recorded(std::slice::from_ref(&incident));
    let expected = replay(&whole);
    let lists = format!("[{}]", whole.replace('\n', ","));
    assert_eq!(replay(&lists), expected);
    let first = changed(&incident, |_, values| values.truncate(130));
    let second = changed(&incident, |_, values| drop(values.drain(..130)));
    let (_, latencies) = whole.split_once('\n').unwrap();
    assert_eq!(replay(&format!("{second}{first}{latencies}")), expected);
    let mut sums: Value = serde_json::from_str(&lists).unwrap();
    for answer in sums.as_array_mut().unwrap() {
        for series in answer["data"]["result"].as_array_mut().unwrap() {
            let labels = series["metric"].as_object_mut().unwrap();
            labels
                .retain(|label, _| ["route", "variant", "outcome", "le"].contains(&label.as_str()));
        }
    }
    assert_eq!(replay(&sums.to_string()), expected);
}

#[test]
fn the_share_that_was_asked_makes_a_limit_on_the_request_rate() {
    let file = policy(
        "rate.json",
        r#"{"limits": [{"signal": "requestRate", "below": "50%", "for": "5m"}]}"#,
    );
    let asked = |variant: &str, ppm: u64| {
        let labels =
            json!({"__name__": "serinus_share_asked_ppm", "route": "shop", "variant": variant});
        (labels, vec![ppm; 240])
    };
    let with = |ppm: u64| {
        let shares = answer(&vec![
            asked("canary", ppm),
            asked("stable", 1_000_000 - ppm),
        ]);
        let input = format!("{}{shares}", recorded(&[GOOD]));
        let arguments = [
            "--from-prometheus",
            "-",
            "--policy",
            &file,
            "--route",
            "shop",
        ];
        told(&arguments, &input)[0]["reason"].clone()
    };
    // The canary has a tenth of stable's requests.
    assert_eq!(with(90_000), Value::Null);
    assert_eq!(with(300_000), "limit-requestRate");
}

#[test]
fn answers_that_make_no_sense_are_refused_with_what_to_ask() {
    let good = answer(&GOOD.requests());
    let of = |metric: Value, value: &str| {
        let values = json!([[START, value], [START + STEP, value]]);
        let series = json!({"metric": metric, "values": values});
        json!({"status": "success", "data": {"resultType": "matrix", "result": [series]}})
            .to_string()
    };
    let labels = |outcome: &str| json!({"__name__": "serinus_requests_total", "route": "shop", "variant": "canary", "outcome": outcome});
    let sparse = changed(&GOOD, |_, values| values.truncate(1));
    let shifted = {
        let mut shifted = answer(&GOOD.latencies());
        for series in shifted["data"]["result"].as_array_mut().unwrap() {
            for pair in series["values"].as_array_mut().unwrap() {
                pair[0] = json!(pair[0].as_u64().unwrap() + 7);
            }
        }
        format!("{good}{shifted}")
    };
    let error = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
    let vector = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    for (input, says) in [
        ("", "no samples of any route"),
        ("nonsense", "no answer of a range query"),
        ("{}", "no answer of a range query"),
        (error, "parse error"),
        (vector, "/api/v1/query_range"),
        (
            &of(labels("ok"), "1"),
            "no serinus_requests_total of `stable`",
        ),
        (&of(labels("ok"), "0.5"), "not for its rate"),
        (&of(labels("ok"), "-1"), "not for its rate"),
        (&of(labels("ok"), "one"), "`one`; write a number"),
        (&of(labels("bad"), "1"), "no outcome `bad`"),
        (
            &of(json!({"route": "shop", "variant": "canary"}), "1"),
            "can't be told apart",
        ),
        (&sparse, "ask for a longer time"),
        (&shifted, "the same start and step"),
    ] {
        let output = run(&["--from-prometheus", "-"], input);
        assert_eq!(output.status.code(), Some(2), "{says}");
        assert!(
            errors(&output).contains(says),
            "{says}: {}",
            errors(&output)
        );
        assert!(errors(&output).contains("standard input: "), "{says}");
    }
    let other = run(
        &["--from-prometheus", "-", "--route", "chop"],
        &good.to_string(),
    );
    assert!(errors(&other).contains("`chop`; write --route and one of shop"));
}

#[test]
fn the_status_tells_a_fail_only_if_asked() {
    let crash = Proxy {
        errors: |at| if at < 120 { 0 } else { 100 },
        ..GOOD
    };
    let input = recorded(&[crash]);
    let code = |arguments: &[&str]| run(arguments, &input).status.code();
    assert_eq!(code(&["--from-prometheus", "-"]), Some(0));
    assert_eq!(code(&["--from-prometheus", "-", "--exit-code"]), Some(1));
}
