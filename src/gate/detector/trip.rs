//! The quick way out for a canary that fails outright.
//!
//! The evidence sums need some blocks before they outweigh a month without a false alarm. When at
//! least half of the canary's requests fail, at least ten times stable's part of them, a few
//! seconds are plenty: the likelihood ratio of one short window (Kullback-Leibler) against a fixed
//! bound. Windows are the last one, two and three ticks, and one that forgets by the canary's
//! requests rather than by time, for routes with one canary request a minute.
//!
//! Where the canary has nearly all of the traffic, a window holds too few of stable's requests to
//! know stable's rate by. Its last minutes tell that; the window's few must then only contradict
//! an outage of both. In such an outage the last minutes soon fail too, and nothing trips: over
//! hours of it a window in which stable is lucky comes by.

use super::sample::{Pair, Sample, half};
use serde::{Deserialize, Serialize};

const TICKS: usize = 3;
/// Canary requests in which the forgetting window decays to 1/e.
const MEMORY_REQUESTS: f64 = 16.0;
/// Least errors in a window of ticks and in the forgetting window.
const LEAST_ERRORS: f64 = 4.0;
const LEAST_REMEMBERED: f64 = 3.5;
/// Least part of requests that failed, and least multiple of stable's.
const LEAST_RATE: f64 = 0.5;
const LEAST_RATIO: f64 = 10.0;
/// Log-likelihood ratio that trips: e^-18 is one window in 65 million.
const BOUND: f64 = 18.0;

/// Half-life of stable's last minutes, in seconds.
const PAST_S: f64 = 60.0;
/// How surely the window's own requests of stable must contradict an outage of both: e^-7.
const NO_OUTAGE: f64 = 7.0;
/// A canary that fails wholly is taken for one that lets this part through.
const LEAST_LUCK: f64 = 0.01;

/// The last few ticks of both sides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trip {
    /// The newest first.
    ticks: [Pair; TICKS],
    remembered: Pair,
    /// Stable's last minutes, this tick not among them.
    past: Sample,
}

impl Trip {
    /// Takes in a tick; gives the window that shows a failing canary, if one does.
    pub fn learn(&mut self, pair: Pair, phi: f64, seconds: f64) -> Option<Pair> {
        let past = self.past;
        self.past.scale(half(seconds, PAST_S));
        self.past.add(pair.stable);
        self.ticks.rotate_right(1);
        if let Some(newest) = self.ticks.first_mut() {
            *newest = pair;
        }
        self.remembered
            .scale((-pair.canary.n / MEMORY_REQUESTS).exp());
        self.remembered.add(pair);
        if pair.canary.k <= 0.0 || past.rate() * LEAST_RATIO > 1.0 {
            return None;
        }
        let mut window = Pair::default();
        for tick in &self.ticks {
            window.add(*tick);
            let fails = |past| fails(&window, past, LEAST_ERRORS, phi);
            if fails(Sample::default()) || (fails(past) && no_outage(&window)) {
                return Some(window);
            }
        }
        let none = Sample::default();
        fails(&self.remembered, none, LEAST_REMEMBERED, phi).then_some(self.remembered)
    }
}

/// Whether the window's canary fails outright beside stable in the window and in the `past`.
fn fails(window: &Pair, past: Sample, least: f64, phi: f64) -> bool {
    let Sample { n, k } = window.canary;
    let rate = window.canary.rate().min(1.0);
    // Laplace's rule of succession: stable is never taken for perfect.
    let stable = (window.stable.k + past.k + 1.0) / (window.stable.n + past.n + 2.0);
    k >= least
        && rate >= LEAST_RATE
        && rate >= LEAST_RATIO * stable
        && n * divergence(rate, stable) / phi >= BOUND
}

/// Whether stable's requests in the window are too good for an outage of both.
fn no_outage(window: &Pair) -> bool {
    let stable = window.stable.rate();
    let canary = window.canary.rate().min(1.0 - LEAST_LUCK);
    canary >= LEAST_RATIO * stable && window.stable.n * divergence(stable, canary) >= NO_OUTAGE
}

/// Kullback-Leibler divergence of Bernoulli(p) from Bernoulli(q), 0 < q < 1.
fn divergence(p: f64, q: f64) -> f64 {
    let part = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    part(p, q) + part(1.0 - p, 1.0 - q)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(stable: (f64, f64), canary: (f64, f64)) -> Pair {
        let side = |(n, k)| Sample { n, k };
        Pair {
            stable: side(stable),
            canary: side(canary),
        }
    }

    /// The first of the ticks that trips, after five good minutes of `good`.
    fn trips(good: Pair, then: Pair) -> Option<u32> {
        let mut trip = Trip::default();
        for _ in 0..300 {
            assert_eq!(trip.learn(good, 1.0, 1.0), None);
        }
        (1..=300).find(|_| trip.learn(then, 1.0, 1.0).is_some())
    }

    #[test]
    fn a_crash_under_load_trips_on_its_first_tick() {
        let (stable, good) = ((950.0, 2.0), (50.0, 0.0));
        assert_eq!(
            trips(pair(stable, good), pair(stable, (50.0, 50.0))),
            Some(1)
        );
        assert_eq!(trips(pair(stable, good), pair(stable, (50.0, 20.0))), None);
    }

    #[test]
    fn a_crash_with_nearly_all_of_the_traffic_trips_by_stables_past() {
        let good = pair((1.0, 0.0), (999.0, 2.0));
        assert_eq!(trips(good, pair((1.0, 0.0), (999.0, 999.0))), Some(2));
    }

    #[test]
    fn an_outage_of_both_does_not_trip() {
        for (stable, canary) in [(950.0, 50.0), (10.0, 990.0), (1.0, 999.0)] {
            for rate in [0.5, 0.9, 1.0] {
                let good = pair((stable, 0.0), (canary, 0.0));
                let out = pair((stable, stable * rate), (canary, canary * rate));
                assert_eq!(trips(good, out), None, "{stable} {rate}");
            }
        }
    }

    #[test]
    fn three_errors_are_too_few() {
        let mut trip = Trip::default();
        assert_eq!(trip.learn(pair((950.0, 0.0), (3.0, 3.0)), 1.0, 1.0), None);
    }
}
