//! How likely the canary is worse rather than as stable, over all times it may have turned.
//!
//! Given how many events both sides had in a block, the canary's part of them is binomial with a
//! probability that depends on the two numbers of requests alone; stable's true rate drops out,
//! and with it every shared outage, drift and time of day. Against "at most `tolerance` times
//! stable's rate" stand nine alternatives, 1.25 to 80 times that. Each runs a Shiryaev-Roberts
//! sum: it may begin at any block and forgets what spoke for the canary before. A block begins a
//! sum with as many as it has seconds, with those of the eventless blocks before it, so that its
//! expectation under a good canary grows by at most one a second whatever the traffic. The mean of
//! the nine is compared with a threshold in seconds: `falseAlarmEvery` is what it says, for Poisson
//! traffic at least (Shiryaev 1963, Roberts 1966; Pollak 1987 for the mixture).
//!
//! A drop (conversions) is the same with the sides' roles changed.

use super::blocks::Block;
use crate::bounds::within;
use serde::{Deserialize, Serialize};

/// Rates over the tolerated one that are looked for.
pub const RATIOS: [f64; 9] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 40.0, 80.0];
/// The ratio that tells when the canary began to be worse, to show the counts since then.
const ONSET_RATIO: f64 = 1.5;
/// The most that one block may add, so that no single block decides.
const MAX_STEP: f64 = 9.0;
/// Evidence is not piled up beyond this.
const MAX_ODDS: f64 = 60.0;
/// A block may begin a sum with at most this many seconds.
const MAX_START_S: f64 = 60.0;
/// The mean of the nine is their sum less this.
pub(super) const LN_RATIOS: f64 = 2.197_224_577_336_219_6;

/// Which way a signal is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More is worse: errors, slow, diffs.
    Rise,
    /// Less is worse: conversions.
    Drop,
}

/// What a block says for one ratio, before over-dispersion discounts it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// ln of the likelihood ratio.
    pub total: f64,
    /// How much of that one more event of the canary would add.
    pub per_event: f64,
}

/// The steps of a block for each of [`RATIOS`]. `tolerance` is how much worse is still good.
pub(super) fn steps(
    block: &Block,
    direction: Direction,
    tolerance: f64,
) -> impl Iterator<Item = Step> {
    let (canary, stable) = (block.pair.canary, block.pair.stable);
    let weight = match direction {
        Direction::Rise => tolerance,
        Direction::Drop => tolerance.recip(),
    };
    // The probability that an event is the canary's if it is just tolerable.
    let rho = weight * canary.n / (weight * canary.n + stable.n);
    RATIOS.into_iter().map(move |ratio| {
        let ratio = match direction {
            Direction::Rise => ratio,
            Direction::Drop => ratio.recip(),
        };
        let of_any = (rho * (ratio - 1.0)).ln_1p();
        let per_event = ratio.ln() - of_any;
        Step {
            total: canary.k * per_event - stable.k * of_any,
            per_event,
        }
    })
}

/// The running evidence for each of [`RATIOS`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    odds: [f64; RATIOS.len()],
    /// Seconds of blocks without an event since the last one with any.
    idle_s: f64,
    /// Page's cumulative sum for [`ONSET_RATIO`]: above 0 since the canary seems worse.
    rise: f64,
}

impl Default for Evidence {
    fn default() -> Self {
        Self {
            odds: [f64::NEG_INFINITY; RATIOS.len()],
            idle_s: 0.0,
            rise: 0.0,
        }
    }
}

impl Evidence {
    /// Takes in a block. `phi`, at least 1, discounts it.
    pub fn learn(&mut self, block: &Block, direction: Direction, tolerance: f64, phi: f64) {
        let elapsed = (self.idle_s + block.age_s).min(MAX_START_S);
        if block.pair.canary.k + block.pair.stable.k <= 0.0 {
            self.idle_s = elapsed;
            return;
        }
        self.idle_s = 0.0;
        let start = elapsed.ln();
        let steps = steps(block, direction, tolerance);
        for ((odds, step), ratio) in self.odds.iter_mut().zip(steps).zip(RATIOS) {
            if ratio == ONSET_RATIO {
                self.rise = within(self.rise + step.total / phi, 0.0, MAX_ODDS);
            }
            *odds = (log_add(*odds, start) + (step.total / phi).min(MAX_STEP)).min(MAX_ODDS);
        }
    }

    /// Whether nothing speaks against the canary since the last block.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.rise <= 0.0
    }

    /// ln of the mean of the nine sums.
    #[must_use]
    pub fn log_odds(&self) -> f64 {
        let top = self.odds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if top == f64::NEG_INFINITY {
            return top;
        }
        let sum: f64 = self.odds.iter().map(|odds| (odds - top).exp()).sum();
        top + sum.ln() - LN_RATIOS
    }
}

/// ln(e^a + e^b) without overflow; `b` is finite.
fn log_add(a: f64, b: f64) -> f64 {
    a.max(b) + (-(a - b).abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{Pair, Sample};

    fn block(stable: (f64, f64), canary: (f64, f64)) -> Block {
        let side = |(n, k)| Sample { n, k };
        Block {
            pair: Pair {
                stable: side(stable),
                canary: side(canary),
            },
            age_s: 1.0,
        }
    }

    /// ln of the odds after `blocks` times the same block.
    fn odds(block: &Block, direction: Direction, blocks: usize) -> f64 {
        let mut evidence = Evidence::default();
        for _ in 0..blocks {
            evidence.learn(block, direction, 1.2, 1.0);
        }
        evidence.log_odds()
    }

    #[test]
    fn the_same_rate_is_no_evidence_however_long() {
        for rate in [0.002, 0.05, 0.5] {
            let same = block((950.0, 950.0 * rate), (50.0, 50.0 * rate));
            assert!(odds(&same, Direction::Rise, 10_000) < 8.0, "{rate}");
            assert!(odds(&same, Direction::Drop, 10_000) < 8.0, "{rate}");
        }
    }

    #[test]
    fn a_tolerated_difference_is_no_evidence_and_a_greater_one_is() {
        let rate = |times: f64| block((950.0, 9.5), (50.0, 0.5 * times));
        assert!(odds(&rate(1.2), Direction::Rise, 10_000) < 8.0);
        assert!(odds(&rate(1.8), Direction::Rise, 10_000) > 17.0);
    }

    #[test]
    fn a_drop_counts_as_a_drop_only() {
        let drop = block((950.0, 95.0), (50.0, 1.0));
        assert!(odds(&drop, Direction::Drop, 200) > 17.0);
        assert!(odds(&drop, Direction::Rise, 200) < 2.0);
    }

    #[test]
    fn one_block_alone_never_decides() {
        let crash = block((95_000.0, 0.0), (5_000.0, 5_000.0));
        assert!(odds(&crash, Direction::Rise, 1) <= MAX_STEP + LN_RATIOS);
    }

    #[test]
    fn a_long_good_time_is_no_credit() {
        let good = block((950.0, 2.0), (50.0, 0.1));
        let bad = block((950.0, 2.0), (50.0, 2.0));
        let after = |blocks| {
            let mut evidence = Evidence::default();
            for _ in 0..blocks {
                evidence.learn(&good, Direction::Rise, 1.2, 1.0);
            }
            let crossed = (1..).find(|_| {
                evidence.learn(&bad, Direction::Rise, 1.2, 1.0);
                evidence.log_odds() >= 17.0
            });
            crossed.unwrap()
        };
        assert!(after(100_000) <= after(10) + 1);
    }
}
