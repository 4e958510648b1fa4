//! Conversions at the gate: what shuts it, after how many requests, and what does not.
//!
//! Callers come again and again, each with a mean number of requests of its own, and buy now and then.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serinus::gate::input::{COHORTS, Cohort};
use serinus::gate::{
    At, Bound, Canary, Change, Counts, Gate, Limit, Position, Ppm, Quantity, Reason, Settings,
    Signal, Stable, Tick,
};
use std::time::Duration;

/// A shop: `rps` requests a second, half of them the canary's, of which about this part buys.
#[derive(Clone, Copy)]
struct Shop {
    rps: u32,
    rate: f64,
    /// What is left of the rate with the canary, from the sixth minute on.
    left: f64,
    /// Requests a second of one crawler of the canary that buys nothing, from then on.
    crawler: u32,
    /// Purchases a second of one robot of stable's, from then on.
    robot: u32,
}

const ONSET: u64 = 300;
const SHOP: Shop = Shop {
    rps: 400,
    rate: 0.04,
    left: 1.0,
    crawler: 0,
    robot: 0,
};

struct Traffic {
    shop: Shop,
    random: SmallRng,
    /// What a caller of each cohort asks for, beside the mean.
    busy: [f64; COHORTS],
}

impl Traffic {
    fn new(shop: Shop, seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let busy = [(); COHORTS].map(|()| random.random_range(0.5..1.5));
        Self { shop, random, busy }
    }

    /// Half of the requests of a second; each caller asks some times in a row, and buys at most once.
    fn side(&mut self, rate: f64, crawler: u32, robot: u32) -> Counts {
        let mut cohorts = [Cohort::default(); COHORTS];
        let mut asked = 0;
        while asked < self.shop.rps / 2 {
            let cohort = self.random.random_range(0..COHORTS);
            if self.random.random_range(0.0..1.5) > self.busy[cohort] {
                continue;
            }
            let requests = self.random.random_range(1..10);
            let buys = self.random.random_bool((rate * 5.0).min(1.0));
            cohorts[cohort].exposures += u64::from(requests);
            cohorts[cohort].conversions += u64::from(buys);
            asked += requests;
        }
        cohorts[5].exposures += u64::from(crawler + robot);
        cohorts[5].conversions += u64::from(robot);
        let sum = |of: fn(&Cohort) -> u64| cohorts.iter().map(of).sum();
        Counts {
            requests: sum(|cohort| cohort.exposures),
            conversions: sum(|cohort| cohort.conversions),
            cohorts: Some(cohorts),
            ..Counts::default()
        }
    }

    fn tick(&mut self, t: u64) -> Tick {
        let Shop {
            rate,
            left,
            crawler,
            robot,
            ..
        } = self.shop;
        let (left, crawler, robot) = match t < ONSET {
            true => (1.0, 0, 0),
            false => (left, crawler, robot),
        };
        Tick {
            at: At(t * 1_000),
            share: Ppm(500_000),
            stable_share: Ppm(500_000),
            stable: Some(Stable {
                counts: self.side(rate, 0, robot),
                groups: Default::default(),
            }),
            canary: Some(Canary {
                counts: self.side(rate * left, crawler, 0),
                slots: [Default::default(); 64],
            }),
            shadow: None,
        }
    }
}

/// The change that shut the gate, and how many seconds after the onset.
fn shut(shop: Shop, settings: &Settings, seed: u64, seconds: u64) -> Option<(Change, u64)> {
    let mut traffic = Traffic::new(shop, seed);
    let mut gate = Gate::new(settings);
    for t in 0..seconds {
        let change = gate.tick(settings, &traffic.tick(t));
        if let Some(change) = change.filter(|change| change.state == Position::Shut) {
            return Some((change, t.saturating_sub(ONSET)));
        }
    }
    None
}

/// How many of twenty shut, and the median of their seconds after the onset.
fn delays(shop: Shop, settings: &Settings, seconds: u64) -> (usize, u64) {
    let found = (0..20).filter_map(|seed| shut(shop, settings, seed, seconds));
    let mut delays: Vec<u64> = found
        .map(|(change, delay)| {
            assert_eq!(change.signal, Some(Signal::Conversions));
            delay
        })
        .collect();
    delays.sort_unstable();
    let median = delays.get(delays.len() / 2).copied().unwrap_or(0);
    println!(
        "left {}: {} of 20, median {median} s",
        shop.left,
        delays.len()
    );
    (delays.len(), median)
}

fn limited() -> Settings {
    let mut settings = Settings::default();
    settings.signals.conversions = false;
    settings.limits = vec![Limit {
        quantity: Quantity::ConversionRate,
        bound: Bound::BelowStableBy(0.05),
        lasting: Duration::from_secs(600),
        min_requests: 100,
    }];
    settings
}

#[test]
fn two_versions_that_convert_alike_are_never_shut() {
    for shop in [
        SHOP,
        Shop {
            rate: 0.003,
            ..SHOP
        },
        Shop { rps: 20, ..SHOP },
        Shop { rate: 0.15, ..SHOP },
    ] {
        for settings in [Settings::default(), limited()] {
            for seed in 0..10 {
                let found = shut(shop, &settings, seed, 7_200);
                assert!(found.is_none(), "{} a second: {found:?}", shop.rps);
            }
        }
    }
}

#[test]
fn a_version_that_converts_less_is_shut_the_sooner_the_worse_it_is() {
    // At 400 requests a second, half of them the canary's, of which 4 % should buy: 8 a second.
    for (left, most) in [(0.0, 30), (0.5, 120), (0.8, 900)] {
        let (found, median) = delays(Shop { left, ..SHOP }, &Settings::default(), 3_600);
        assert!(found >= 19 && median <= most, "{left}: {found}, {median} s");
    }
}

#[test]
fn a_drop_by_less_than_is_tolerated_shuts_nothing() {
    let (found, _) = delays(Shop { left: 0.96, ..SHOP }, &Settings::default(), 7_200);
    assert_eq!(found, 0);
}

#[test]
fn a_limit_finds_smaller_drops_once_its_time_holds_enough() {
    let shop = Shop { left: 0.8, ..SHOP };
    let (found, median) = delays(shop, &limited(), 3_600);
    assert!(found >= 19 && median <= 1_500, "{found}, {median} s");
    let change = shut(shop, &limited(), 1, 3_600).unwrap().0;
    assert_eq!(change.reason, Reason::Limit(Quantity::ConversionRate));
    let (found, _) = delays(Shop { left: 0.96, ..SHOP }, &limited(), 7_200);
    assert_eq!(found, 0);
}

#[test]
fn one_caller_shuts_nothing_who_asks_without_end_or_buys_without_end() {
    for (crawler, robot) in [(20, 0), (200, 0), (2_000, 0), (0, 1), (0, 5), (0, 20)] {
        let shop = Shop {
            crawler,
            robot,
            ..SHOP
        };
        for settings in [Settings::default(), limited()] {
            let (found, _) = delays(shop, &settings, 3_600);
            assert_eq!(found, 0, "{crawler} and {robot} a second");
        }
    }
}
