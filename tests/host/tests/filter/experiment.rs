//! Experiments: exposures and conversions by variant, and a line for each exposure.

use serde_json::{Value, json};
use serinus_host_tests::{Filter, LogLevel, Outcome, Process, Request, Response};

use crate::{BEAT, beats, document, of_caller, variant, worker, worker_of};

const EXPERIMENT: &str = r#""experiment": {"exposureLog": false, "goals": [
    {"name": "bought", "when": [{"method": {}, "exact": "POST"}]},
    {"name": "seen", "when": [{"path": {}, "prefix": "/"}], "statuses": ["200"]}]}"#;

fn policy(experiment: &str) -> String {
    format!(
        r#"{{"name": "shop", "mode": "enforce",
        "page": {{"when": [{{"header": "x-nobody", "present": false}}]}},
        "routes": [{{"name": "checkout", "match": {{"path": {{"prefix": "/checkout"}}}},
            "key": [{{"header": "x-user-id"}}],
            "variants": [{{"name": "canary", "share": "50%"}}],
            "rules": [{{"name": "staff", "when": [{{"header": "x-staff", "present": true}}],
                "then": {{"variant": "canary"}}}}]{experiment}}}]}}"#
    )
}

fn with_experiment() -> String {
    policy(&format!(", {EXPERIMENT}"))
}

fn logging() -> String {
    let (off, on) = (r#""exposureLog": false"#, r#""exposureLog": true"#);
    with_experiment().replacen(off, on, 1)
}

fn metric(process: &Process, labels: &str, name: &str) -> Option<u64> {
    process.metric(&format!("route=.=checkout;.;{labels}serinus_{name}"))
}

/// Exposures, and conversions by goal, of a variant.
fn counted(process: &Process, variant: &str) -> [Option<u64>; 3] {
    let labels = format!("variant=.={variant};.;");
    let goal = |goal: &str| {
        let labels = format!("{labels}goal=.={goal};.;");
        metric(process, &labels, "conversions_total")
    };
    [
        metric(process, &labels, "exposures_total"),
        goal("bought"),
        goal("seen"),
    ]
}

/// Asks as one caller of each side: reads, buys, and fails to buy; as staff, and as nobody.
fn ask(filter: &mut Filter) {
    for n in ["stable", "canary"].map(caller_of) {
        let post = || of_caller(n).method("POST");
        filter.request(of_caller(n).answered(Response::status(200)));
        filter.request(post().answered(Response::status(201)));
        filter.request(post().answered(Response::status(409)));
        filter.request(post().answered(Response::status(503)));
        filter.request(post().header("x-staff", "1"));
    }
    filter.request(Request::get("/checkout"));
}

/// A caller of a side, found by asking a filter that counts elsewhere.
fn caller_of(side: &str) -> u32 {
    let mut filter = worker(&policy(""));
    let of_side = |n: &u32| variant(&filter.request(of_caller(*n))) == side;
    (0..100).find(of_side).expect("one in a hundred")
}

#[test]
fn exposures_and_conversions_are_counted_by_variant_over_all_workers() {
    let process = Process::new();
    let policy = with_experiment();
    let mut workers = [worker_of(&process, &policy), worker_of(&process, &policy)];
    for side in ["stable", "canary"] {
        assert_eq!(
            counted(&process, side),
            [Some(0); 3],
            "there from the start"
        );
    }
    workers.iter_mut().for_each(ask);
    beats(&process, &mut workers, 5);
    for side in ["stable", "canary"] {
        assert_eq!(counted(&process, side), [Some(8), Some(2), Some(2)]);
    }
    let [filter, _] = &mut workers;
    let document = document(filter);
    let route = &document["routes"][0];
    assert_eq!(route["sample_ratio_mismatch"], false);
    for side in route["variants"].as_array().expect("sides") {
        assert_eq!(side["exposures"], 8);
        assert_eq!(side["conversions"], json!({"bought": 2, "seen": 2}));
    }
    assert_eq!(document["routes"][1]["sample_ratio_mismatch"], Value::Null);
}

fn lines(outcome: &Outcome) -> Vec<&str> {
    let lines = outcome.logs.iter();
    let lines = lines.inspect(|line| assert!(line.level <= LogLevel::Info));
    lines.map(|line| line.text.as_str()).collect()
}

#[test]
fn an_exposure_is_a_line_of_names_and_a_slot_and_of_nothing_a_caller_sent() {
    let mut filter = worker(&logging());
    let exposed = filter.request(of_caller(17));
    let [line] = &lines(&exposed)[..] else {
        panic!("{:?}", exposed.logs)
    };
    let told = line
        .strip_prefix("serinus: exposure ")
        .expect("an exposure");
    let told: Value = serde_json::from_str(told).expect("JSON");
    let slot = told["slot"].as_u64().expect("a slot");
    let side = if slot < 500_000 { "canary" } else { "stable" };
    assert_eq!(
        told,
        json!({"route": "checkout", "variant": side, "slot": slot})
    );
    assert_eq!(variant(&exposed), side);
    for request in [
        Request::get("/checkout"),
        of_caller(17).header("x-staff", "1"),
    ] {
        assert_eq!(lines(&filter.request(request)), [""; 0]);
    }
    let mut observer = worker(&logging().replacen("enforce", "observe", 1));
    assert_eq!(lines(&observer.request(of_caller(17))), [""; 0]);
}

#[test]
fn lines_beyond_a_thousand_a_second_are_left_out_and_counted() {
    let process = Process::new();
    let mut filter = worker_of(&process, &logging());
    let unlogged = |process: &Process| metric(process, "", "exposures_unlogged_total");
    assert_eq!(unlogged(&process), Some(0));
    let burst = |filter: &mut Filter| {
        let outcomes = (0..1_100).map(|n| filter.request(of_caller(n)));
        outcomes.map(|outcome| outcome.logs.len()).sum::<usize>()
    };
    for times in 1..=2 {
        assert_eq!(burst(&mut filter), 1_000);
        beats(&process, [&mut filter], 5);
        assert_eq!(unlogged(&process), Some(100 * times));
    }
}

#[test]
fn an_experiment_costs_a_request_no_host_call_and_its_log_one() {
    let calls = |policy: &str| worker(policy).request(of_caller(17)).calls.total();
    let without = calls(&policy(""));
    assert_eq!(calls(&with_experiment()), without);
    assert_eq!(calls(&logging()), without + 1);
}

#[test]
fn a_mismatch_is_told_and_goes_with_its_experiment() {
    let process = Process::new();
    let mut filter = worker_of(&process, &with_experiment());
    let gauge = |process: &Process| metric(process, "", "sample_ratio_mismatch");
    assert_eq!(gauge(&process), Some(0));
    let mut probe = worker(&policy(""));
    for second in 0..30 {
        for n in 0..40 {
            let request = of_caller(second * 40 + n);
            // Staff are of one side alone, where they should be of both.
            let is_canary = variant(&probe.request(of_caller(second * 40 + n))) == "canary";
            filter.request(match is_canary && n % 2 == 0 {
                true => request.header("x-staff", "1"),
                false => request,
            });
        }
        for _ in 0..4 {
            process.advance(BEAT);
            filter.tick();
        }
    }
    assert_eq!(gauge(&process), Some(1));
    filter.configure(policy(""));
    assert_eq!(gauge(&process), Some(0));
}
