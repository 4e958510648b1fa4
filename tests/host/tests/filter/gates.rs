//! A canary that fails is shut by the one worker that judges, and all workers obey.

use serinus_host_tests::{Calls, Filter, Outcome, Request};

use crate::policies::{COUNTED, judged};
use crate::shop::{FAILING, GOOD, Shop, reached};
use crate::{BEAT, beats, of_caller, series, variant, worker};

const SHARED: [&str; 2] = ["proxy_get_shared_data", "proxy_set_shared_data"];

/// Half the callers by cookie, issued where there is none; testers by a header.
const ISSUED: &str = r#"{"name": "shop", "routes": [{"name": "checkout",
    "key": [{"cookie": "serinus"}, {"issueCookie": "serinus"}],
    "gate": {"held": "shut"}, "variants": [{"name": "canary", "share": "50%"}],
    "rules": [
      {"name": "testers", "when": [{"header": "x-tester", "present": true}],
        "then": {"variant": "canary", "evenShut": true}},
      {"name": "staff", "when": [{"header": "x-staff", "present": true}],
        "then": {"variant": "canary"}}
    ]}]}"#;

/// The same without the person's word.
fn issued_open() -> String {
    ISSUED.replacen(r#""gate": {"held": "shut"}, "#, "", 1)
}

/// The first caller from `n` on who gets this side.
fn caller_of(filter: &mut Filter, side: &str) -> u32 {
    let of_side = |n: &u32| variant(&filter.request(of_caller(*n))) == side;
    (0..100).find(of_side).expect("one in a hundred")
}

/// What a request calls, and whether any of it is shared data.
fn calls(outcome: &Outcome) -> Vec<(&'static str, usize)> {
    let calls: &Calls = &outcome.calls;
    for function in SHARED {
        assert_eq!(calls.count(function), 0, "{calls}");
    }
    calls.table()
}

#[test]
fn a_canary_that_fails_wholly_is_shut_in_seconds_and_every_worker_obeys_at_its_next_beat() {
    let mut shop = Shop::new(4, &judged(""));
    shop.seconds(5, GOOD);
    assert!(shop.let_in() > 40, "half of 160");
    let beats_to_shut = shop.beats_until("shut", 12, FAILING);
    println!("shut after {beats_to_shut} beats");
    beats(&shop.process, &mut shop.workers, 1);
    assert_eq!(shop.let_in(), 0);
    shop.seconds(30, FAILING);
    assert_eq!(shop.let_in(), 0, "latched");
    assert_eq!(shop.changes(), [0, 0, 1]);
}

/// What these ticks did by `function` to keys of gates.
fn of_gates<'c>(calls: &'c [Calls], function: &str) -> Vec<&'c str> {
    let made = calls.iter().flat_map(Calls::iter);
    let made = made.filter(|call| call.function == function);
    let keys = made.map(|call| call.subject.as_str());
    keys.filter(|key| key.starts_with("shop.gate.")).collect()
}

#[test]
fn orders_are_read_once_a_beat_and_only_who_judges_keeps_gates() {
    let mut shop = Shop::shut(3, &judged(""));
    let mut ticks = vec![Vec::new(); 3];
    for _ in 0..8 {
        shop.process.advance(BEAT);
        for (calls, filter) in ticks.iter_mut().zip(&mut shop.workers) {
            calls.push(filter.tick());
        }
    }
    let [read, write] = SHARED;
    for calls in &ticks {
        assert_eq!(of_gates(calls, read), ["shop.gate.orders"; 8]);
        let written = of_gates(calls, write);
        assert!(!written.contains(&"shop.gate.orders"), "they stand as told");
    }
    let keepers = ticks
        .iter()
        .filter(|calls| !of_gates(calls, write).is_empty());
    assert_eq!(keepers.count(), 1);
}

#[test]
fn a_request_costs_the_same_calls_while_the_gate_is_shut() {
    let mut shop = Shop::new(2, &judged(""));
    shop.seconds(4, GOOD);
    let [first, ..] = &mut shop.workers[..] else {
        unreachable!("two workers")
    };
    let ours = caller_of(first, "canary");
    let theirs = caller_of(first, "stable");
    let before = first.request(of_caller(theirs));
    let at_canary = first.request(of_caller(ours));
    assert!(calls(&at_canary).len() > calls(&before).len());
    shop.beats_until("shut", 12, FAILING);
    shop.seconds(1, GOOD);
    for filter in &mut shop.workers {
        for n in [ours, theirs] {
            let outcome = filter.request(of_caller(n));
            assert_eq!(variant(&outcome), "stable");
            assert_eq!(calls(&outcome), calls(&before), "u-{n}");
        }
    }
}

#[test]
fn a_held_gate_is_obeyed_from_the_first_request_on() {
    let held = |word: &str| judged(&format!(r#""held": "{word}""#));
    let mut shop = Shop::new(2, &held("shut"));
    assert_eq!(shop.let_in(), 0, "from the first start on");
    shop.configure(&held("open"));
    assert!(shop.let_in() > 20);
    shop.configure(&judged(""));
    assert!(shop.let_in() > 20, "nobody had found anything");
    shop.configure(&held("shut"));
    assert_eq!(shop.let_in(), 0);
    shop.seconds(2, GOOD);
    assert_eq!(shop.let_in(), 0);
    assert_eq!(shop.state(), "shut");
}

#[test]
fn a_person_opens_a_gate_that_was_shut_and_letting_go_shuts_it_again() {
    let mut shop = Shop::shut(2, &judged(""));
    shop.configure(&judged(r#""held": "open""#));
    assert!(shop.let_in() > 20, "at once");
    shop.seconds(3, FAILING);
    assert!(shop.let_in() > 20, "whatever is found");
    assert_eq!(shop.state(), "open");
    shop.configure(&judged(""));
    shop.beats_until("shut", 6, FAILING);
    beats(&shop.process, &mut shop.workers, 1);
    assert_eq!(shop.let_in(), 0);
}

#[test]
fn a_rule_passes_a_shut_gate_only_where_it_says_so() {
    let mut filter = worker(ISSUED);
    for (header, gets) in [("x-tester", "canary"), ("x-staff", "stable")] {
        let request = Request::get("/checkout").header(header, "1");
        assert_eq!(variant(&filter.request(request)), gets, "{header}");
    }
}

#[test]
fn a_cookie_is_issued_while_the_gate_is_shut_and_decides_when_it_is_open() {
    let mut filter = worker(ISSUED);
    let mut cookies = Vec::new();
    for _ in 0..40 {
        let outcome = filter.request(Request::get("/checkout"));
        assert_eq!(variant(&outcome), "stable");
        let headers = outcome.response_headers.expect("an answer");
        let line = headers.text("set-cookie").expect("a cookie").to_owned();
        let (cookie, _) = line.split_once(';').expect("attributes");
        cookies.push(cookie.to_owned());
    }
    let with = |cookie: &String| Request::get("/checkout").header("cookie", cookie);
    for cookie in &cookies {
        let outcome = filter.request(with(cookie));
        assert_eq!(variant(&outcome), "stable");
        let headers = outcome.response_headers.expect("an answer");
        assert_eq!(headers.text("set-cookie"), None, "it has one");
    }
    filter.configure(issued_open());
    let decided: Vec<String> = cookies
        .iter()
        .map(|cookie| variant(&filter.request(with(cookie))).to_owned())
        .collect();
    let canaries = decided.iter().filter(|side| *side == "canary").count();
    assert!((8..=32).contains(&canaries), "{canaries} of 40 at 50 %");
    for (cookie, side) in cookies.iter().zip(&decided) {
        let outcome = filter.request(with(cookie));
        assert_eq!(variant(&outcome), side, "and again so");
        let headers = outcome.response_headers.expect("an answer");
        assert_eq!(headers.text("set-cookie"), None);
    }
}

#[test]
fn a_gate_that_may_reopen_lets_a_part_of_its_callers_in_and_then_all_of_them() {
    let mut shop = Shop::new(3, &judged(r#""reopen": {"after": "3s", "max": "10s"}"#));
    shop.seconds(4, GOOD);
    let before = reached(&mut shop.workers[0], 0..2_000);
    shop.beats_until("shut", 12, FAILING);
    shop.beats_until("probing", 40, GOOD);
    beats(&shop.process, &mut shop.workers, 1);
    for filter in &mut shop.workers {
        let few = reached(filter, 0..2_000);
        assert!(
            !few.is_empty() && few.len() < before.len() / 4,
            "{}",
            few.len()
        );
        assert!(few.iter().all(|n| before.contains(n)));
    }
    assert_eq!(shop.told()["state"], "probing");
    shop.beats_until("open", 2_000, GOOD);
    beats(&shop.process, &mut shop.workers, 1);
    for filter in &mut shop.workers {
        assert_eq!(reached(filter, 0..2_000), before);
    }
    let [open, probing, shut] = shop.changes();
    assert!(open == 1 && probing >= 1 && shut == 1);
}

#[test]
fn a_canary_that_is_still_bad_is_shut_again_while_few_reach_it() {
    let mut shop = Shop::new(2, &judged(r#""reopen": {"after": "1s", "max": "10s"}"#));
    shop.seconds(4, GOOD);
    shop.beats_until("shut", 12, FAILING);
    shop.beats_until("probing", 40, FAILING);
    shop.beats_until("shut", 400, FAILING);
    beats(&shop.process, &mut shop.workers, 1);
    assert_eq!(shop.let_in(), 0);
}

#[test]
fn a_change_is_one_warning_and_one_count_of_all_workers() {
    let mut shop = Shop::new(4, &judged(r#""reopen": {"after": "2s", "max": "10s"}"#));
    shop.seconds(4, GOOD);
    assert_eq!(shop.warnings(), Vec::<String>::new());
    assert_eq!(shop.changes(), [0; 3]);
    shop.beats_until("shut", 12, FAILING);
    let warnings = shop.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    let line = &warnings[0];
    let begins = "serinus: gate of checkout/canary is shut: failing, errors; stable ";
    assert!(line.starts_with(begins), "{line}");
    assert_eq!(shop.changes(), [0, 0, 1]);
    shop.beats_until("open", 2_000, GOOD);
    let warnings = shop.warnings();
    let of = |state: &str| {
        let told = format!("is {state}: ");
        warnings.iter().filter(|line| line.contains(&told)).count() as u64
    };
    assert_eq!([of("open"), of("probing"), of("shut") + 1], shop.changes());
    assert_eq!(
        shop.told()["history"].as_array().map(Vec::len),
        Some(warnings.len() + 1)
    );
}

#[test]
fn the_document_says_why_a_gate_was_shut() {
    let mut shop = Shop::shut(2, &judged(""));
    let told = shop.told();
    assert_eq!(told["state"], "shut");
    assert_eq!(told["verdict"], "fail");
    assert_eq!(told["reason"], "failing");
    let change = &told["history"][0];
    assert_eq!(change["signal"], "errors");
    let of = |side: &str| {
        let sample = &change["evidence"][side];
        let number = |field: &str| sample[field].as_f64().expect("a number");
        number("k") / number("n").max(1.0)
    };
    assert!(of("canary") > 0.5 && of("stable") < 0.2, "{change}");
}

#[test]
fn whom_a_shut_gate_kept_out_is_counted_with_that_reason() {
    let mut shop = Shop::shut(2, &judged(""));
    let name = series("stable", "reason=.=gate-shut;.;", "serinus_decisions_total");
    let counted = |shop: &Shop| shop.process.metric(&name).expect("a counter");
    beats(&shop.process, &mut shop.workers, 4);
    let before = counted(&shop);
    let mut other = worker(COUNTED);
    let ours = reached(&mut other, 0..40).len() * shop.workers.len();
    assert_eq!(shop.let_in(), 0);
    beats(&shop.process, &mut shop.workers, 4);
    assert_eq!(counted(&shop) - before, ours as u64);
}

#[test]
fn a_ramp_stands_still_while_its_gate_is_shut_and_goes_on_from_there() {
    let ramp = r#""ramp": {"start": "2026-11-21T09:00:00Z",
        "steps": ["10%", "30%", "60%", "100%"], "every": "10s"}"#;
    let policy = |gate| judged(gate).replacen(r#""share": "50%""#, ramp, 1);
    let mut shop = Shop::new(2, &policy(""));
    let asked = |shop: &Shop| {
        let name = series("canary", "", "serinus_share_asked_ppm");
        shop.process.metric(&name)
    };
    shop.seconds(13, GOOD);
    assert_eq!(asked(&shop), Some(300_000));
    let before = reached(&mut shop.workers[0], 0..200);
    shop.configure(&policy(r#""held": "shut""#));
    shop.seconds(40, GOOD);
    assert_eq!(shop.let_in(), 0);
    shop.configure(&policy(""));
    shop.beats_until("open", 8, GOOD);
    for _ in 0..3 {
        shop.seconds(1, GOOD);
        for filter in &mut shop.workers {
            assert_eq!(reached(filter, 0..200), before);
        }
    }
    assert_eq!(asked(&shop), Some(300_000));
    shop.seconds(8, GOOD);
    assert_eq!(asked(&shop), Some(600_000));
}
