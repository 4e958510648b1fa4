//! How the route itself does: its traffic, and whether stable is in trouble too.

use super::detector::evidence::Direction;
use super::detector::power;
use super::detector::sample::{Sample, half};
use serde::{Deserialize, Serialize};

/// Half-life of what is now, in seconds: short, or an outage that grows would be usual before it
/// is seen.
const NOW_S: f64 = 30.0;
/// Fewer errors than this (decayed) are no outage.
const LEAST_ERRORS: f64 = 5.0;
/// Half-life of what is usual, in seconds.
const USUAL_S: f64 = 3_600.0;
/// In an outage the usual is learned this much slower, or the outage would soon be usual.
const OUTAGE_WEIGHT: f64 = 0.03;

/// The route's pulse.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pulse {
    now: Sample,
    usual: Sample,
    requests: f64,
    seconds: f64,
}

impl Pulse {
    /// Takes in a tick of stable's errors and of all requests.
    pub fn learn(&mut self, stable: Sample, requests: f64, seconds: f64) {
        self.now.scale(half(seconds, NOW_S));
        self.now.add(stable);
        let weight = if self.in_outage() { OUTAGE_WEIGHT } else { 1.0 };
        self.usual.scale(half(seconds * weight, USUAL_S));
        self.usual.add(Sample {
            n: stable.n * weight,
            k: stable.k * weight,
        });
        let left = half(seconds, NOW_S);
        self.requests = self.requests * left + requests;
        self.seconds = self.seconds * left + seconds;
    }

    /// Whether stable itself does worse than it usually does, by the yardstick of the verdict.
    #[must_use]
    pub fn in_outage(&self) -> bool {
        self.now.k >= LEAST_ERRORS
            && self.usual.n > 0.0
            && power::noticeable(self.usual.rate(), Direction::Rise)
                .is_none_or(|bad| self.now.rate() >= bad)
    }

    /// The route's requests a second over the last minutes.
    #[must_use]
    pub fn rps(&self) -> f64 {
        if self.seconds > 0.0 {
            self.requests / self.seconds
        } else {
            0.0
        }
    }
}
