//! Whether a bad canary would have been noticed by now: what a pass is worth.
//!
//! The same blocks are replayed with a canary that is bad by the yardstick of the verdict (three
//! times stable's rate and at least 1 % more; for conversions a third of stable's). For each ratio
//! of the evidence the mean and variance of what it would have gathered are summed; a pass needs
//! one ratio whose sum is above the threshold with 95 % probability. This errs on the safe side:
//! it leaves out the trip, and that the sums may begin later than the first block.

use super::blocks::Block;
use super::evidence::{Direction, RATIOS};
use serde::{Deserialize, Serialize};

/// The normal quantile of 95 %.
const CONFIDENCE: f64 = 1.645;
/// The bad canary: this many times stable's rate,
const TIMES: f64 = 3.0;
/// and at least this much more.
const LEAST_MORE: f64 = 0.01;

/// What a bad canary would have gathered, per ratio: mean and variance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Power {
    sums: [(f64, f64); RATIOS.len()],
    /// The most that any of them has reached with 95 % probability: what would have been noticed
    /// stays noticed.
    reached: f64,
}

/// The rate of the canary that must be noticed where stable's is `rate`; nothing if there is none.
#[must_use]
pub fn noticeable(rate: f64, direction: Direction) -> Option<f64> {
    match direction {
        Direction::Rise => Some((TIMES * rate).max(rate + LEAST_MORE)).filter(|bad| *bad <= 1.0),
        Direction::Drop => Some(rate / TIMES).filter(|bad| *bad > 0.0),
    }
}

impl Power {
    /// Takes in a block, `stable_rate` being stable's rate over a longer time.
    pub fn learn(
        &mut self,
        block: &Block,
        stable_rate: f64,
        direction: Direction,
        tolerance: f64,
        phi: f64,
    ) {
        let Some(bad) = noticeable(stable_rate, direction) else {
            return;
        };
        let mut block = *block;
        block.pair.canary.k = block.pair.canary.n * bad;
        let variance = block.pair.canary.k * (1.0 - bad);
        let steps = super::evidence::steps(&block, direction, tolerance);
        for ((mean, spread), step) in self.sums.iter_mut().zip(steps) {
            *mean += step.total / phi;
            *spread += variance * step.per_event.powi(2) / phi;
            self.reached = self.reached.max(*mean - CONFIDENCE * spread.sqrt());
        }
    }

    /// Whether the bad canary would have crossed `threshold` with 95 % probability.
    #[must_use]
    pub fn suffices(&self, threshold: f64) -> bool {
        self.reached >= threshold + super::evidence::LN_RATIOS
    }
}
