//! What says nothing against the canary never shuts it, and nothing traps.

use std::time::Duration;

use serinus_host_tests::process::START;

use crate::policies::judged;
use crate::shop::{Answers, FAILING, GOOD, OUTAGE, Shop};
use crate::{BEAT, beats};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// The last time that the host can tell.
const FARTHEST: Duration = Duration::from_nanos(u64::MAX);

fn with_share(share: &str) -> String {
    judged("").replacen("50%", share, 1)
}

#[track_caller]
fn is_calm(shop: &mut Shop) {
    assert_eq!(shop.changes(), [0; 3]);
    assert_eq!(shop.state(), "open");
    let told = shop.told();
    assert_eq!(told["state"], "open");
    assert_eq!(told["history"].as_array().map(Vec::len), Some(0));
}

#[test]
fn clocks_that_jump_shut_nothing() {
    let jumps = [
        START + 2 * HOUR,
        START + HOUR,
        START + HOUR + DAY,
        START,
        START + HOUR + Duration::from_millis(1),
        START - DAY,
        START + 400 * DAY,
        Duration::ZERO,
        Duration::from_nanos(u64::MAX - 5),
        START,
    ];
    for answers in [GOOD, OUTAGE] {
        let mut shop = Shop::new(2, &judged(""));
        shop.seconds(3, GOOD);
        for now in jumps {
            shop.callers(answers);
            shop.process.set_time(now);
            let step = BEAT.min((FARTHEST - now) / 9);
            for _ in 0..9 {
                shop.callers(answers);
                for filter in &mut shop.workers {
                    filter.tick();
                }
                shop.process.advance(step);
            }
        }
        shop.process.set_time(START + 3 * HOUR);
        shop.seconds(8, GOOD);
        is_calm(&mut shop);
    }
}

#[test]
fn a_gate_shuts_again_as_ever_once_the_clock_runs_on() {
    for now in [START - HOUR, START + DAY] {
        let mut shop = Shop::new(2, &judged(""));
        shop.seconds(5, GOOD);
        shop.process.set_time(now);
        shop.seconds(6, GOOD);
        shop.beats_until("shut", 24, FAILING);
        shop.process.set_time(START + 2 * DAY);
        shop.seconds(5, GOOD);
        assert_eq!(shop.state(), "shut", "and no jump opens it");
        assert_eq!(shop.let_in(), 0);
    }
}

#[test]
fn a_back_off_is_not_over_because_the_clock_jumped() {
    let mut shop = Shop::shut(2, &judged(r#""reopen": {"after": "10m", "max": "1h"}"#));
    for now in [START + DAY, START, START + 30 * DAY] {
        shop.process.set_time(now);
        shop.seconds(6, GOOD);
        assert_eq!(shop.state(), "shut", "{now:?}");
        assert_eq!(shop.let_in(), 0);
    }
}

#[test]
fn ticks_that_come_late_or_twice_shut_nothing() {
    for answers in [GOOD, OUTAGE] {
        let mut shop = Shop::new(3, &judged(""));
        for pause in [1, 3, 0, 0, 9, 41, 2, 0, 260, 1, 1, 1] {
            shop.callers(answers);
            shop.process.advance(BEAT * pause);
            for filter in &mut shop.workers {
                filter.tick();
                filter.tick();
            }
            shop.callers(answers);
            let [first, ..] = &mut shop.workers[..] else {
                unreachable!("three workers")
            };
            beats(&shop.process, [first], 2);
        }
        shop.seconds(6, GOOD);
        is_calm(&mut shop);
    }
}

#[test]
fn an_outage_of_both_shuts_nothing() {
    let mut shop = Shop::new(2, &judged(""));
    shop.seconds(20, GOOD);
    shop.seconds(30, OUTAGE);
    shop.seconds(10, GOOD);
    is_calm(&mut shop);
}

#[test]
fn without_any_traffic_or_with_that_of_one_side_nothing_is_shut() {
    let runs: [(&str, Answers); 5] = [
        ("0%", GOOD),
        ("0%", OUTAGE),
        ("100%", GOOD),
        ("100%", (200, 503)),
        ("100%", OUTAGE),
    ];
    for (share, answers) in runs {
        let mut shop = Shop::new(2, &with_share(share));
        beats(&shop.process, &mut shop.workers, 20);
        shop.seconds(20, answers);
        beats(&shop.process, &mut shop.workers, 20);
        is_calm(&mut shop);
    }
}

#[test]
fn a_share_that_goes_from_nothing_to_everything_and_back_shuts_no_good_canary() {
    let mut shop = Shop::new(2, &with_share("0%"));
    for share in ["100%", "0%", "50%", "100%", "0.01%"] {
        shop.seconds(5, GOOD);
        shop.configure(&with_share(share));
    }
    shop.seconds(5, GOOD);
    is_calm(&mut shop);
}

#[test]
fn counts_that_are_lost_or_go_backward_shut_nothing() {
    let mut shop = Shop::new(2, &judged(""));
    shop.seconds(5, GOOD);
    let slots: Vec<_> = (0..16).map(|n| format!("shop.health.{n}")).collect();
    let old: Vec<_> = slots
        .iter()
        .map(|key| shop.process.shared_data(key))
        .collect();
    shop.seconds(5, GOOD);
    for (key, old) in slots.iter().zip(&old) {
        shop.process
            .put_shared_data(key, old.as_deref().unwrap_or_default());
    }
    shop.seconds(5, GOOD);
    for key in &slots {
        shop.process.put_shared_data(key, b"");
    }
    shop.seconds(5, GOOD);
    is_calm(&mut shop);
}
