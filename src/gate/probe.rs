//! Whether a canary that was shut is well again, by as few requests as will tell.
//!
//! Wald's sequential test (1945) of "as good as stable" against "worse by a fixed slack", on
//! errors and on the signal that shut the gate. A failing canary is found out by its first error
//! or two; a good one passes after some hundred requests at most. Differences are asked about where
//! both sides have pairs; the verdict of a shadow needs no probe and shuts the gate by itself.

use super::detector::Readings;
use super::detector::sample::{Pair, Sample, half};
use super::words::Signal;
use serde::{Deserialize, Serialize};

/// ln of the odds at which a test ends, either way: 20 to 1.
const BOUND: f64 = 3.0;
/// Stable is never taken for better than this.
const LEAST_RATE: f64 = 0.001;
/// Where this much of stable fails, nothing can be told apart.
const OUTAGE: f64 = 0.5;
/// Half-life of stable's rate, in seconds.
const RECENT_S: f64 = 30.0;
/// A drop of conversions to this part of stable's is what the test looks for.
const DROP: f64 = 0.5;

/// How far the tests of one rung have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    errors: Test,
    /// Of the signal that shut the gate; slow has two.
    signal: [Test; 2],
    seen: Pair,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Test {
    /// ln of the odds that the canary is good.
    z: f64,
    stable: Sample,
}

/// What a rung came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    Open,
}

impl Probe {
    /// Takes in a tick. `signal` is what shut the gate, `slack` the rate over the tolerated one
    /// that counts as bad.
    pub(super) fn learn(
        &mut self,
        readings: &Readings,
        signal: Option<Signal>,
        tolerance: f64,
        slack: f64,
        seconds: f64,
    ) -> Outcome {
        self.seen.add(readings.errors);
        let worse = |rate: f64| tolerance * rate + slack;
        self.errors.learn(readings.errors, worse, seconds);
        let [first, second] = &mut self.signal;
        let mut outcome = self.errors.outcome();
        match signal {
            None | Some(Signal::Errors) => {}
            Some(Signal::Slow) => {
                first.learn(readings.slow, worse, seconds);
                second.learn(readings.slow90, worse, seconds);
                outcome = outcome.and(first.outcome()).and(second.outcome());
            }
            Some(Signal::Diffs) => {
                first.learn(readings.diffs, worse, seconds);
                if *first != Test::default() {
                    outcome = outcome.and(first.outcome());
                }
            }
            Some(Signal::Conversions) => {
                first.learn_drop(readings.conversions, seconds);
                outcome = outcome.and(first.outcome());
            }
        }
        outcome
    }

    /// The canary's and stable's errors since the rung began.
    pub(super) fn seen(&self) -> Pair {
        self.seen
    }
}

impl Outcome {
    fn and(self, other: Outcome) -> Outcome {
        match (self, other) {
            (Outcome::Failed, _) | (_, Outcome::Failed) => Outcome::Failed,
            (Outcome::Open, _) | (_, Outcome::Open) => Outcome::Open,
            (Outcome::Passed, Outcome::Passed) => Outcome::Passed,
        }
    }
}

impl Test {
    fn outcome(&self) -> Outcome {
        if self.z <= -BOUND {
            Outcome::Failed
        } else if self.z >= BOUND {
            Outcome::Passed
        } else {
            Outcome::Open
        }
    }

    fn learn(&mut self, pair: Pair, worse: impl Fn(f64) -> f64, seconds: f64) {
        let good = self.stable_rate(pair.stable, seconds).max(LEAST_RATE);
        if good < OUTAGE {
            self.add(pair.canary, good, worse(good));
        }
    }

    fn learn_drop(&mut self, pair: Pair, seconds: f64) {
        let good = self.stable_rate(pair.stable, seconds);
        // Goals that stable does not reach either cannot be missed.
        self.add(
            pair.canary,
            good.max(LEAST_RATE),
            DROP * good.max(LEAST_RATE),
        );
    }

    fn stable_rate(&mut self, stable: Sample, seconds: f64) -> f64 {
        self.stable.scale(half(seconds, RECENT_S));
        self.stable.add(stable);
        self.stable.rate()
    }

    /// Adds the log-likelihood ratio of `good` to `bad`; a test that has ended stays ended.
    fn add(&mut self, canary: Sample, good: f64, bad: f64) {
        if self.outcome() != Outcome::Open {
            return;
        }
        let (good, bad) = (good.min(0.99), bad.min(0.99));
        let successes = (canary.n - canary.k).max(0.0);
        self.z += canary.k * (good / bad).ln() + successes * ((1.0 - good) / (1.0 - bad)).ln();
    }
}
