//! One question about the canary, watched: blocks, evidence, and what a pass would be worth.

use super::blocks::{Block, Blocks};
use super::evidence::{Direction, Evidence};
use super::power::Power;
use super::sample::{Pair, half};
use serde::{Deserialize, Serialize};

/// Half-life of the rates that the excess is taken of, in seconds.
const RECENT_S: f64 = 120.0;
/// What is fixed about a question.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Which way it is bad.
    pub direction: Direction,
    /// A difference of rates below this harms nobody, however sure it is.
    pub least_excess: f64,
}

/// What the caller sets.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How many times stable's rate is still good.
    pub tolerance: f64,
    /// ln of the odds that shut.
    pub threshold: f64,
}

/// The running state of one question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    blocks: Blocks,
    evidence: Evidence,
    power: Power,
    recent: Pair,
    since: Pair,
}

impl Watch {
    /// Takes in a tick; true if the canary is worse beyond doubt.
    pub(super) fn learn(
        &mut self,
        pair: Pair,
        seconds: f64,
        phi: f64,
        question: Question,
        terms: Terms,
    ) -> bool {
        self.recent.scale(half(seconds, RECENT_S));
        self.recent.add(pair);
        self.since.add(pair);
        if let Some(block) = self.blocks.add(pair, seconds) {
            self.weigh(&block, phi, question.direction, terms.tolerance);
        }
        self.evidence.log_odds() >= terms.threshold
            && self.excess(question.direction, terms.tolerance) >= question.least_excess
    }

    fn weigh(&mut self, block: &Block, phi: f64, direction: Direction, tolerance: f64) {
        let usual = self.recent.stable.rate();
        self.power.learn(block, usual, direction, tolerance, phi);
        self.evidence.learn(block, direction, tolerance, phi);
        if self.evidence.is_quiet() {
            self.since = Pair::default();
        }
    }

    fn excess(&self, direction: Direction, tolerance: f64) -> f64 {
        let (canary, stable) = (self.recent.canary.rate(), self.recent.stable.rate());
        match direction {
            Direction::Rise => canary - tolerance * stable,
            Direction::Drop => stable / tolerance - canary,
        }
    }

    /// The counts since the canary began to be worse.
    pub(super) fn since(&self) -> Pair {
        self.since
    }

    /// Both sides over the last minutes.
    pub(super) fn recent(&self) -> Pair {
        self.recent
    }

    /// ln of the odds that the canary is worse.
    pub(super) fn log_odds(&self) -> f64 {
        self.evidence.log_odds()
    }

    /// Whether a bad canary would have been noticed.
    pub(super) fn suffices(&self, threshold: f64) -> bool {
        self.power.suffices(threshold)
    }

    /// Drops what a signal gathered when it is not comparable any more.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}
