use super::*;
use crate::assign::route;
use crate::gate::{At, Held, Settings};
use crate::health::callers::Caller;
use crate::health::counters::Request;
use crate::health::ledger::{Reading, added};
use crate::health::outcome::ErrorClass;
use crate::health::route::RouteHealth;
use crate::shadow;
use crate::shadow::verdict::{PathReport, Report, Verdict};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const KEY: &[u8] = b"alice@example.com";
const SIDES: [&str; 2] = ["stable", "canary"];

/// 100 fine requests to stable and 100 time-outs of the canary, ten on each of ten hosts.
fn watched() -> RouteWatch {
    let mut watch = RouteWatch::new(
        "checkout",
        SIDES,
        None,
        Some(Micros(90_000)),
        true,
        Millis(0),
    );
    watch.look(&Reading::default(), Millis(0));
    let mut health = RouteHealth::new("checkout", SIDES);
    for request in 0_u64..200 {
        let bad = request % 2 == 1;
        let side = [route::Side::Stable, route::Side::Variant(0)][usize::from(bad)];
        let caller = Some(Caller::of(KEY));
        let error = Outcome::Error(ErrorClass::Timeout);
        let host = format!("10.0.0.{}:80", request / 2 % 10);
        let request = Request {
            outcome: if bad { error } else { Outcome::Ok },
            latency: Some(Micros(2_000)),
            attempts: 1,
            bytes: Some((1, 2)),
            caller,
            host: Some(if bad {
                host.as_bytes()
            } else {
                b"/run/app-\xff.sock"
            }),
            exposure: None,
        };
        health.record(side, &request, Millis(500));
        let half = |_| Share::from_ppm(500_000).unwrap();
        health.decided(side, Reason::Share, caller, half);
    }
    let slot = added(None, [&health], Millis(500));
    watch.look(&Reading::of([&slot[..]]), Millis(1_000));
    watch
}

/// A gate that a person shut.
fn gate() -> (crate::gate::Gate, Settings) {
    let open = Settings::default();
    let mut gate = crate::gate::Gate::new(&open);
    let shut = Settings {
        held: Some(Held::Shut),
        ..open
    };
    assert!(gate.configure(&shut, At(700)).is_some());
    (gate, shut)
}

/// What a shadow was judged by: one path, which is worse.
fn report() -> Report<'static> {
    Report {
        verdict: Verdict::Fail,
        raw: 90,
        noise: 10,
        confirming: 2,
        paths: vec![PathReport {
            at: Some(("/price", shadow::compare::Kind::Value)),
            raw: 45,
            noise: 0,
            worse: true,
        }],
    }
}

fn flag() -> Flag<'static> {
    Flag {
        flag: "rec_engine",
        values: crate::report::state_flags::Values(vec![("off", 7), ("on", 5)]),
        shed: Some(true),
        expired: Some(false),
    }
}

fn json(watch: &RouteWatch) -> String {
    let problems = ["routes: missing".to_owned()];
    let about = About {
        now: Millis(1_000),
        proxy: Some("shop-gateway"),
        policy: Some(InForce {
            name: "shop",
            version: "7f3a",
            since: Millis(200),
        }),
        rejected: Some(Rejected {
            version: "8e21",
            since: Millis(900),
            problems: &problems,
        }),
        filter: Filter {
            host_errors: 3,
            dropped: 2,
        },
    };
    let bought = |met| crate::report::state_flags::Values(vec![("bought", met)]);
    let experiment = [(90, 9), (10, 2)].map(|(exposures, met)| Experimented {
        exposures,
        conversions: bought(met),
    });
    let asked = [500_000, 500_000].map(|ppm| Share::from_ppm(ppm).unwrap());
    let (gate, settings) = gate();
    let gate = GateView {
        gate: &gate,
        settings: &settings,
    };
    let (mut tally, report) = (shadow::tally::Tally::default(), report());
    tally.end(shadow::capture::Ended::Reset);
    let view = RouteView {
        watch,
        asked: &asked,
        gates: &[None, Some(gate)],
        budget: Some(BudgetView {
            left: 0.25,
            frozen: true,
        }),
        shadow: Some(ShadowView {
            tally: &tally,
            report: Some(&report),
        }),
        experiment: &experiment,
    };
    Document::of(&about, &[view])
        .with_flags(vec![flag()])
        .to_json()
        .unwrap()
}

fn told(watch: &RouteWatch) -> Value {
    serde_json::from_str(&json(watch)).unwrap()
}

#[test]
fn counts_percentiles_and_hosts_stand_with_their_variant() {
    let document = told(&watched());
    let [stable, canary] = [0, 1].map(|side| &document["routes"][0]["variants"][side]);
    assert_eq!(document["version"], VERSION);
    assert_eq!(document["routes"][0]["slow_us"], 90_000);
    assert_eq!(stable["outcomes"]["ok"], 100);
    assert_eq!(canary["outcomes"]["error_timeout"], 100);
    assert_eq!(canary["last_minute"]["outcomes"]["error_timeout"], 100);
    let failing = json!({"callers": 1, "at_least": false});
    assert_eq!(canary["failing_callers"], failing);
    assert_eq!(stable["bytes"], json!({"received": 100, "sent": 200}));
    assert_eq!(stable["share"]["asked_ppm"], 500_000);
    assert_eq!(stable["share"]["seen_ppm"], 500_000);
    assert_eq!(stable["decisions"]["share"], 100);
    assert_eq!(stable["decisions"]["rule"], 0);
    for window in ["last_minute", "last_ten_minutes"] {
        let p99 = stable[window]["latency_us"]["p99"].as_u64().unwrap();
        assert!((1_960..=2_040).contains(&p99), "{p99}");
    }
}

#[test]
fn hosts_stand_with_their_addresses_by_errors_and_then_by_address() {
    let document = told(&watched());
    let [stable, canary] = [0, 1].map(|side| &document["routes"][0]["variants"][side]["hosts"]);
    let host = json!({
        "address": "/run/app-\u{fffd}.sock",
        "requests": 100, "errors": 0, "mean_us": 2_000, "seen_ms": 500,
    });
    assert_eq!(*stable, json!([host]));
    let hosts = canary.as_array().unwrap();
    let addresses: Vec<String> = (0..10).map(|host| format!("10.0.0.{host}:80")).collect();
    let found: Vec<&str> = hosts
        .iter()
        .map(|host| host["address"].as_str().unwrap())
        .collect();
    assert_eq!(found, addresses);
    assert!(hosts.iter().all(|host| host["errors"] == 10));
}

#[test]
fn the_policy_its_refused_successor_and_the_filters_own_counts_are_told() {
    let document = told(&watched());
    let policy = json!({"name": "shop", "version": "7f3a", "since_ms": 200, "age_ms": 800});
    assert_eq!(document["policy"], policy);
    let rejected = json!({"version": "8e21", "since_ms": 900, "problems": ["routes: missing"]});
    assert_eq!(document["rejected"], rejected);
    let filter = json!({"host_errors": 3, "dropped": 2});
    assert_eq!(document["filter"], filter);
}

#[test]
fn a_gate_tells_where_it_stands_and_why() {
    let document = told(&watched());
    let [stable, canary] = [0, 1].map(|side| &document["routes"][0]["variants"][side]["gate"]);
    assert_eq!(*stable, Value::Null);
    let none = json!({"n": 0, "k": 0});
    let past = json!({
        "at_ms": 700, "state": "shut", "reason": "held", "signal": null,
        "evidence": {"stable": none, "canary": none},
    });
    let gate = json!({
        "state": "shut", "held": "shut", "verdict": "hold", "reason": "held", "history": [past],
    });
    assert_eq!(*canary, gate);
    let budget = json!({"left_ppm": 250_000, "frozen": true});
    assert_eq!(document["routes"][0]["budget"], budget);
}

#[test]
fn a_shadow_tells_its_calls_its_verdict_and_the_paths_behind_it() {
    let document = told(&watched());
    let shadow = &document["routes"][0]["shadow"];
    assert_eq!(shadow["calls"]["reset"], 1);
    assert_eq!(shadow["compared"]["verdict"], "fail");
    let price = json!({"path": "/price", "kind": "value", "raw": 45, "noise": 0, "worse": true});
    assert_eq!(shadow["compared"]["paths"], json!([price]));
}

#[test]
fn an_experiment_tells_its_exposures_and_conversions() {
    let document = told(&watched());
    let route = &document["routes"][0];
    assert_eq!(route["sample_ratio_mismatch"], false);
    let [stable, canary] = [0, 1].map(|side| &route["variants"][side]);
    assert_eq!(stable["exposures"], 90);
    assert_eq!(canary["exposures"], 10);
    assert_eq!(canary["conversions"], json!({"bought": 2}));
}

#[test]
fn nothing_of_callers_is_told() {
    let text = json(&watched());
    let caller = Caller::of(KEY).0.to_string();
    assert!(!text.contains("alice") && !text.contains(&caller));
}

#[test]
fn a_route_that_was_never_seen_is_told_with_zeros() {
    let watch = RouteWatch::new("r", ["stable"], None, None, false, Millis(0));
    let about = About {
        now: Millis(0),
        proxy: None,
        policy: None,
        rejected: None,
        filter: Filter::default(),
    };
    let view = RouteView {
        watch: &watch,
        asked: &[],
        gates: &[],
        budget: None,
        shadow: None,
        experiment: &[],
    };
    let document = serde_json::to_value(Document::of(&about, &[view])).unwrap();
    let stable = &document["routes"][0]["variants"][0];
    let outcomes = stable["outcomes"].as_object().unwrap();
    assert!(outcomes.len() == Outcome::ALL.len() && outcomes.values().all(|count| *count == 0));
    assert_eq!(stable["last_minute"]["latency_us"], Value::Null);
    assert_eq!(stable["share"]["asked_ppm"], Value::Null);
    assert_eq!(stable["share"]["gap_can_be_chance"], true);
    assert_eq!(document["routes"][0]["shadow"], Value::Null);
    assert_eq!(document["policy"], Value::Null);
}

#[test]
fn the_same_state_gives_the_same_bytes_with_fields_in_their_order() {
    let text = json(&watched());
    assert_eq!(text, json(&watched()));
    assert!(text.starts_with(r#"{"version":1,"serinus":""#), "{text}");
}

/// Fields whose members are named after outcomes and reasons, which have tables of their own.
const BY_WORDS: [&str; 7] = [
    "outcomes",
    "decisions",
    "calls",
    "skipped",
    "not_compared",
    "values",
    "conversions",
];

/// The paths of all fields, those in [`BY_WORDS`] left out.
fn paths(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = [path, name].join(".").trim_start_matches('.').to_owned();
                into.insert(path.clone());
                if !BY_WORDS.contains(&name.as_str()) {
                    paths(field, &path, into);
                }
            }
        }
        Value::Array(elements) => elements
            .iter()
            .for_each(|element| paths(element, &format!("{path}[]"), into)),
        _ => {}
    }
}

/// The words in backticks of `text`.
fn words(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The tables of the page: heading and first column.
fn tables() -> Vec<(&'static str, Vec<&'static str>)> {
    let docs = include_str!("../../docs/state.md");
    let sections = docs.split("\n## ").skip(1);
    let table = |section: &'static str| {
        let (heading, text) = section.split_once('\n').unwrap();
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        let column = rows.map(|row| words(row.split('|').nth(1).unwrap()));
        (heading, column.flatten().collect())
    };
    sections.map(table).collect()
}

#[test]
fn the_page_documents_the_documents_fields_and_no_others() {
    let mut documented = BTreeSet::new();
    for (heading, fields) in tables() {
        let parents = match heading {
            "The document" => vec![""],
            heading => words(heading),
        };
        for (parent, field) in parents
            .iter()
            .flat_map(|parent| fields.iter().map(move |field| (parent, field)))
        {
            let path = [parent, field].map(|part| part.to_string()).join(".");
            documented.insert(path.trim_start_matches('.').to_owned());
        }
    }
    let mut real = BTreeSet::new();
    paths(&told(&watched()), "", &mut real);
    let missing: Vec<_> = real.difference(&documented).collect();
    let unreal: Vec<_> = documented.difference(&real).collect();
    assert!(
        missing.is_empty() && unreal.is_empty(),
        "missing {missing:?}, unreal {unreal:?}"
    );
}

#[test]
fn the_page_documents_all_reasons_and_outcomes() {
    let tables = tables();
    let of = |wanted| {
        tables
            .iter()
            .find(|(heading, _)| *heading == wanted)
            .unwrap()
    };
    assert_eq!(of("Reasons").1, Reason::ALL.map(Reason::word));
    let ended = shadow::capture::Ended::ALL;
    assert_eq!(of("Ends of shadow calls").1, ended.map(|how| how.word()));
    let skipped = shadow::sample::Skipped::ALL;
    assert_eq!(of("Reasons to skip").1, skipped.map(|why| why.word()));
    let without = shadow::join::NotCompared::ALL;
    assert_eq!(
        of("Reasons not to compare").1,
        without.map(|why| why.word())
    );
    let documented: BTreeSet<&str> = of("Outcomes").1.iter().copied().collect();
    assert_eq!(
        documented,
        BTreeSet::from(Outcome::ALL.map(Outcome::as_str))
    );
    assert!(include_str!("../../docs/state.md").contains(&format!("This is version {VERSION}.")));
}
