//! Absolute triggers, as teams have them in their runbooks: errors over 1 % for 2 minutes.
//!
//! "For" means all along, as in Prometheus' alerts, not on average: the time is cut into eighths
//! (of at least a tick), each eighth with a canary request in it must be beyond the bound, and one
//! that is not starts the count anew. An eighth without canary requests says nothing either way.
//! Errors are the canary's after the key cap, so that one caller's retries cross no limit.
//! Conversions are as the cohorts admit them. With `belowStableBy` they are judged once each time
//! that the limit says, over all of it: an eighth holds so few of them that one of eight mostly lies
//! above the bound by chance. It is crossed where the rate is below the bound by four standard
//! errors of the difference of two proportions, spread by the over-dispersion of stable's callers;
//! one at the bound itself is found below it so by chance once in 30,000 times.
//! Requests are enough, for [`Limit::min_requests`], if as many came; for request rates, if as many
//! were due: none at all is what a lower bound is for.
//! Differences are those of the shadow's pairs, or of the canary's side where that counts them.
//! Percentiles come from the histogram, straight within a bucket; in the open last one they are
//! its lower bound.
//!
//! Unlike the detector a limit does not ask how stable does, unless it says `…StableBy`: an outage
//! of both crosses it.

use super::detector::sample::{Pair, Sample};
use super::input::{BUCKETS, Counts, Tick};
use super::words::Signal;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A gate looks at this many limits.
pub const MAX_LIMITS: usize = 16;
const PARTS: f64 = 8.0;
/// Standard errors by which conversions must be below their bound.
const SURE: f64 = 4.0;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quantity {
    /// Errors per request.
    ErrorRate,
    /// The median of latencies, in milliseconds.
    P50,
    /// Their 95th percentile.
    P95,
    /// Their 99th percentile.
    P99,
    /// The canary's requests over what its share of stable's would be: 1 is as expected.
    RequestRate,
    /// Goals met per request.
    ConversionRate,
    /// Differences per shadow pair.
    DiffRate,
}

impl Quantity {
    /// The word in policies and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Quantity::ErrorRate => "errorRate",
            Quantity::P50 => "p50",
            Quantity::P95 => "p95",
            Quantity::P99 => "p99",
            Quantity::RequestRate => "requestRate",
            Quantity::ConversionRate => "conversionRate",
            Quantity::DiffRate => "diffRate",
        }
    }

    /// The signal it belongs to; request rates belong to none.
    #[must_use]
    pub fn signal(self) -> Option<Signal> {
        match self {
            Quantity::ErrorRate => Some(Signal::Errors),
            Quantity::P50 | Quantity::P95 | Quantity::P99 => Some(Signal::Slow),
            Quantity::RequestRate => None,
            Quantity::ConversionRate => Some(Signal::Conversions),
            Quantity::DiffRate => Some(Signal::Diffs),
        }
    }
}

/// Where the limit lies, in the quantity's unit, or as a fraction of stable's value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Bound {
    /// Crossed by more.
    Above(f64),
    /// Crossed by less.
    Below(f64),
    /// Crossed by more than stable's value and this fraction of it.
    AboveStableBy(f64),
    /// Crossed by less than stable's value less this fraction of it.
    BelowStableBy(f64),
}

impl Bound {
    fn is_crossed(self, canary: f64, stable: Option<f64>) -> bool {
        match (self, stable) {
            (Bound::Above(bound), _) => canary > bound,
            (Bound::Below(bound), _) => canary < bound,
            (Bound::AboveStableBy(part), Some(stable)) => canary > stable * (1.0 + part),
            (Bound::BelowStableBy(part), Some(stable)) => canary < stable * (1.0 - part),
            (Bound::AboveStableBy(_) | Bound::BelowStableBy(_), None) => false,
        }
    }
}

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// What is limited.
    pub quantity: Quantity,
    /// Where.
    pub bound: Bound,
    /// How long it must be crossed.
    pub lasting: Duration,
    /// How many requests of the canary (pairs, for diffs; requests that were due, for request rates)
    /// that time must hold at least.
    pub min_requests: u64,
}

/// The running state of one limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitWatch {
    limit: Limit,
    part: Part,
    crossed_s: f64,
    crossed: Pair,
    /// Requests that were due meanwhile.
    due: f64,
    /// Whether the last part ended the wait and held enough.
    fired: bool,
}

/// Both sides' counts in one eighth.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Part {
    age_s: f64,
    pair: Pair,
    /// Latencies; single precision is plenty for a quantile, and a route may have 16 limits.
    stable: [f32; BUCKETS],
    canary: [f32; BUCKETS],
    /// Requests that the canary's share would have had.
    expected: f64,
}

impl LimitWatch {
    /// Begins to watch `limit`.
    #[must_use]
    pub fn new(limit: Limit) -> Self {
        Self {
            limit,
            part: Part::default(),
            crossed_s: 0.0,
            crossed: Pair::default(),
            due: 0.0,
            fired: false,
        }
    }

    /// What is watched.
    #[must_use]
    pub fn limit(&self) -> &Limit {
        &self.limit
    }

    /// Whether the last part that said something was beyond the bound.
    #[must_use]
    pub fn is_crossing(&self) -> bool {
        self.crossed_s > 0.0
    }

    /// Takes in a tick, with what was admitted of it. Gives the counts of both sides while the
    /// limit is crossed for as long as it says.
    pub fn learn(
        &mut self,
        tick: &Tick,
        admitted: Admitted,
        bounds_ms: &[f64],
        seconds: f64,
    ) -> Option<Pair> {
        let lasting = self.limit.lasting.as_secs_f64();
        self.part.add(self.limit.quantity, tick, admitted, seconds);
        let parts = match self.tested() {
            Some(_) => 1.0,
            None => PARTS,
        };
        if self.part.age_s >= lasting / parts - 1e-6 {
            let part = std::mem::take(&mut self.part);
            self.close(&part, bounds_ms, lasting, admitted.phi);
        }
        self.fired.then_some(self.crossed)
    }

    /// The tolerated part of stable's rate, of a limit that chance must not cross.
    fn tested(&self) -> Option<f64> {
        match (self.limit.quantity, self.limit.bound) {
            (Quantity::ConversionRate, Bound::BelowStableBy(part)) => Some(1.0 - part),
            _ => None,
        }
    }

    fn close(&mut self, part: &Part, bounds_ms: &[f64], lasting: f64, phi: f64) {
        let Some((canary, stable)) = part.values(self.limit.quantity, bounds_ms) else {
            self.fired = false;
            return;
        };
        let is_chance = |kept| !is_surely_below(part.pair, kept, phi);
        if !self.limit.bound.is_crossed(canary, stable) || self.tested().is_some_and(is_chance) {
            *self = Self::new(self.limit);
            return;
        }
        self.crossed_s += part.age_s;
        self.crossed.add(part.pair);
        self.due += part.expected;
        let requests = match self.limit.quantity {
            Quantity::RequestRate => self.due,
            _ => self.crossed.canary.n,
        };
        let enough = requests >= self.limit.min_requests as f64;
        self.fired = self.crossed_s >= lasting - 1e-6 && enough;
    }
}

/// Whether the canary's rate is below `kept` times stable's by more than chance.
fn is_surely_below(pair: Pair, kept: f64, phi: f64) -> bool {
    let (stable, canary) = (pair.stable, pair.canary);
    let rate = stable.rate();
    let bound = kept * rate;
    let variance = bound * (1.0 - bound) / canary.n + kept * kept * rate * (1.0 - rate) / stable.n;
    bound - canary.rate() >= SURE * (variance * phi.max(1.0)).sqrt()
}

/// What is taken of a tick's counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Admitted {
    /// The canary's errors after the key cap.
    pub errors: Sample,
    /// Conversions of both sides, as the cohorts admit them.
    pub conversions: Pair,
    /// How much noisier than dice conversions are.
    pub phi: f64,
}

impl Part {
    fn add(&mut self, quantity: Quantity, tick: &Tick, admitted: Admitted, seconds: f64) {
        self.age_s += seconds;
        let (share, stable_share) = (tick.share.fraction(), tick.stable_share.fraction());
        if let Some(stable) = tick.stable() {
            let counts = &stable.counts;
            self.pair.stable.add(match quantity {
                Quantity::ConversionRate => admitted.conversions.stable,
                _ => sample(quantity, counts),
            });
            add_all(&mut self.stable, &counts.latency);
            if stable_share > 0.0 {
                self.expected += counts.requests as f64 * share / stable_share;
            }
        }
        let canary = tick.canary().map(|side| &side.counts);
        if let Some(counts) = canary {
            add_all(&mut self.canary, &counts.latency);
        }
        let of_canary = match (quantity, &tick.shadow) {
            (Quantity::ErrorRate, _) => canary.map(|_| admitted.errors),
            (Quantity::ConversionRate, _) => canary.map(|_| admitted.conversions.canary),
            (Quantity::DiffRate, Some(shadow)) => Some(shadow.compared()),
            _ => canary.map(|counts| sample(quantity, counts)),
        };
        self.pair.canary.add(of_canary.unwrap_or_default());
    }

    /// The canary's value and stable's; nothing if the part holds nothing of the canary's.
    fn values(&self, quantity: Quantity, bounds_ms: &[f64]) -> Option<(f64, Option<f64>)> {
        let Pair { stable, canary } = self.pair;
        let rates = |sample: Sample| (sample.n > 0.0).then(|| sample.rate());
        let quantile = |q| {
            let value = |histogram| quantile(histogram, bounds_ms, q);
            Some((value(&self.canary)?, value(&self.stable)))
        };
        match quantity {
            Quantity::ErrorRate | Quantity::ConversionRate | Quantity::DiffRate => {
                Some((rates(canary)?, rates(stable)))
            }
            Quantity::P50 => quantile(0.5),
            Quantity::P95 => quantile(0.95),
            Quantity::P99 => quantile(0.99),
            // No request at all is what a lower bound is for, but only where some were due.
            Quantity::RequestRate => {
                (self.expected >= 1.0).then(|| (canary.n / self.expected, Some(1.0)))
            }
        }
    }
}

fn measured(counts: &Counts) -> u64 {
    counts
        .latency
        .iter()
        .fold(0, |sum, n| sum.saturating_add(*n))
}

fn sample(quantity: Quantity, counts: &Counts) -> Sample {
    match quantity {
        Quantity::ErrorRate => Sample::of(counts.requests, counts.errors),
        Quantity::P50 | Quantity::P95 | Quantity::P99 => Sample::of(measured(counts), 0),
        Quantity::RequestRate => Sample::of(counts.requests, 0),
        Quantity::ConversionRate => Sample::of(counts.requests, counts.conversions),
        Quantity::DiffRate => Sample::of(counts.shadowed, counts.diffs),
    }
}

fn add_all(sums: &mut [f32; BUCKETS], counts: &[u64; BUCKETS]) {
    for (sum, count) in sums.iter_mut().zip(counts) {
        *sum += *count as f32;
    }
}

/// The `q` quantile in milliseconds; nothing of nothing.
fn quantile(histogram: &[f32; BUCKETS], bounds_ms: &[f64], q: f64) -> Option<f64> {
    let total: f64 = histogram.iter().copied().map(f64::from).sum();
    if total <= 0.0 {
        return None;
    }
    let mut below = 0.0;
    let mut lower = 0.0;
    for (count, upper) in histogram.iter().copied().map(f64::from).zip(bounds_ms) {
        if count > 0.0 && below + count >= q * total {
            return Some(lower + (upper - lower) * (q * total - below) / count);
        }
        below += count;
        lower = *upper;
    }
    Some(lower)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{At, Canary, KeySlot, Ppm, Shadowed, Stable};

    fn tick(stable: Counts, canary: Counts) -> Tick {
        Tick {
            at: At(0),
            share: Ppm(500_000),
            stable_share: Ppm(500_000),
            stable: Some(Stable {
                counts: stable,
                groups: Default::default(),
            }),
            canary: Some(Canary {
                counts: canary,
                slots: [KeySlot::default(); crate::gate::input::KEY_SLOTS],
            }),
            shadow: None,
        }
    }

    fn requests(requests: u64, errors: u64) -> Counts {
        Counts {
            requests,
            errors,
            ..Counts::default()
        }
    }

    /// The tick, from 1, on which a limit fires.
    fn fires(limit: Limit, ticks: impl Iterator<Item = Tick>) -> Option<usize> {
        let mut watch = LimitWatch::new(limit);
        let mut found = ticks.map(|tick| {
            let side = &tick.canary().unwrap().counts;
            let stable = &tick.stable.as_ref().unwrap().counts;
            let goals = |side: &Counts| Sample::of(side.requests, side.conversions);
            let admitted = Admitted {
                errors: Sample::of(side.requests, side.errors),
                conversions: Pair {
                    stable: goals(stable),
                    canary: goals(side),
                },
                phi: 1.0,
            };
            watch.learn(&tick, admitted, &[10.0, 100.0, 1_000.0], 1.0)
        });
        found
            .position(|found| found.is_some())
            .map(|index| index + 1)
    }

    const ERRORS: Limit = Limit {
        quantity: Quantity::ErrorRate,
        bound: Bound::Above(0.01),
        lasting: Duration::from_secs(120),
        min_requests: 100,
    };

    #[test]
    fn fires_when_the_bound_was_crossed_all_along_and_no_sooner() {
        let bad = || tick(requests(100, 0), requests(100, 2));
        assert_eq!(fires(ERRORS, (0..200).map(|_| bad())), Some(120));
    }

    #[test]
    fn a_burst_above_the_average_does_not_fire() {
        let ticks = (0..600).map(|t| {
            let errors = if t % 100 < 5 { 100 } else { 0 };
            tick(requests(100, 0), requests(100, errors))
        });
        assert_eq!(fires(ERRORS, ticks), None);
    }

    #[test]
    fn too_few_requests_do_not_fire_until_there_are_enough() {
        let ticks = (0..400).map(|t| {
            tick(
                requests(9, 0),
                requests(u64::from(t % 2 == 0), u64::from(t % 2 == 0)),
            )
        });
        assert_eq!(fires(ERRORS, ticks), Some(210));
    }

    #[test]
    fn a_percentile_is_compared_in_milliseconds() {
        let slow = Limit {
            quantity: Quantity::P99,
            bound: Bound::Above(500.0),
            lasting: Duration::from_secs(8),
            min_requests: 1,
        };
        let with = |slow: u64| {
            let mut counts = requests(100, 0);
            let [fast, _, last, ..] = &mut counts.latency;
            (*fast, *last) = (100 - slow, slow);
            tick(requests(100, 0), counts)
        };
        assert_eq!(fires(slow, (0..20).map(|_| with(2))), Some(8));
        assert_eq!(fires(slow, (0..20).map(|_| with(1))), None);
    }

    #[test]
    fn a_drop_below_stable_is_relative_to_stable() {
        let drop = Limit {
            quantity: Quantity::ConversionRate,
            bound: Bound::BelowStableBy(0.05),
            lasting: Duration::from_secs(8),
            min_requests: 1,
        };
        let goals = |asked, conversions| Counts {
            conversions,
            ..requests(asked, 0)
        };
        let run = |times: u64, canary: u64| {
            let side = |met: u64| goals(1_000 * times, met * times);
            fires(drop, (0..40).map(|_| tick(side(100), side(canary))))
        };
        assert_eq!(run(10, 85), Some(8));
        assert_eq!(run(10, 96), None);
        assert_eq!(run(1, 85), None, "800 of them can be below by chance");
        assert_eq!(run(1, 50), Some(8));
    }

    #[test]
    fn differences_are_the_shadows_where_there_is_one_and_need_no_requests() {
        let limit = Limit {
            quantity: Quantity::DiffRate,
            bound: Bound::Above(0.05),
            lasting: Duration::from_secs(8),
            min_requests: 100,
        };
        let pairs = |pairs, differing| Shadowed {
            pairs,
            differing,
            failed: None,
        };
        let run = |side: Counts, shadow| {
            let tick = Tick {
                shadow,
                ..tick(requests(0, 0), side)
            };
            fires(limit, std::iter::repeat_n(tick, 20))
        };
        let counted = |diffs| Counts {
            shadowed: 100,
            diffs,
            ..Counts::default()
        };
        let none = Counts::default();
        assert_eq!(run(none.clone(), Some(pairs(100, 6))), Some(8));
        assert_eq!(run(none.clone(), Some(pairs(100, 5))), None);
        assert_eq!(
            run(none, Some(pairs(10, 1))),
            Some(10),
            "too few until then"
        );
        assert_eq!(run(counted(6), None), Some(8));
        assert_eq!(run(counted(6), Some(pairs(0, 0))), None);
    }

    #[test]
    fn a_canary_that_gets_no_requests_falls_below_its_request_rate() {
        let missing = Limit {
            quantity: Quantity::RequestRate,
            bound: Bound::Below(0.5),
            lasting: Duration::from_secs(8),
            min_requests: 100,
        };
        let run = |n| {
            fires(
                missing,
                (0..20).map(|_| tick(requests(10, 0), requests(n, 0))),
            )
        };
        // Ten a second are due.
        assert_eq!(run(0), Some(10));
        assert_eq!(run(9), None);
    }

    #[test]
    fn a_quantile_lies_straight_within_its_bucket() {
        let mut histogram = [0.0; BUCKETS];
        let [_, second, ..] = &mut histogram;
        *second = 10.0;
        assert_eq!(quantile(&histogram, &[100.0, 200.0], 0.5), Some(150.0));
        assert_eq!(quantile(&[0.0; BUCKETS], &[100.0], 0.5), None);
    }
}
