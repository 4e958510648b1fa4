//! The quick way out for a canary that fails outright.
//!
//! The evidence sums need some blocks before they outweigh a month without a false alarm. When at
//! least half of the canary's requests fail, at least ten times stable's part of them, a few
//! seconds are plenty: the likelihood ratio of one short window (Kullback-Leibler) against a fixed
//! bound. Windows are the last one, two and three ticks, and one that forgets by the canary's
//! requests rather than by time, for routes with one canary request a minute.

use super::sample::{Pair, Sample};
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

/// The last few ticks of both sides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trip {
    /// The newest first.
    ticks: [Pair; TICKS],
    remembered: Pair,
}

impl Trip {
    /// Takes in a tick; gives the window that shows a failing canary, if one does.
    pub fn learn(&mut self, pair: Pair, phi: f64) -> Option<Pair> {
        self.ticks.rotate_right(1);
        if let Some(newest) = self.ticks.first_mut() {
            *newest = pair;
        }
        self.remembered
            .scale((-pair.canary.n / MEMORY_REQUESTS).exp());
        self.remembered.add(pair);
        if pair.canary.k <= 0.0 {
            return None;
        }
        let mut window = Pair::default();
        for tick in &self.ticks {
            window.add(*tick);
            if fails(&window, LEAST_ERRORS, phi) {
                return Some(window);
            }
        }
        fails(&self.remembered, LEAST_REMEMBERED, phi).then_some(self.remembered)
    }
}

fn fails(window: &Pair, least: f64, phi: f64) -> bool {
    let Sample { n, k } = window.canary;
    let rate = window.canary.rate().min(1.0);
    // Laplace's rule of succession: stable is never taken for perfect.
    let stable = (window.stable.k + 1.0) / (window.stable.n + 2.0);
    k >= least
        && rate >= LEAST_RATE
        && rate >= LEAST_RATIO * stable
        && n * divergence(rate, stable) / phi >= BOUND
}

/// Kullback-Leibler divergence of Bernoulli(p) from Bernoulli(q), 0 < q < 1.
fn divergence(p: f64, q: f64) -> f64 {
    let part = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    part(p, q) + part(1.0 - p, 1.0 - q)
}
