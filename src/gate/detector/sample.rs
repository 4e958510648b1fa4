//! Requests and how many of them counted, on one side and on both.

use serde::{Deserialize, Serialize};

/// `k` of `n`. Fractions come from decay and from the key cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Requests (pairs, for diffs).
    pub n: f64,
    /// Those that counted.
    pub k: f64,
}

impl Sample {
    /// From whole counts.
    #[must_use]
    pub fn of(n: u64, k: u64) -> Self {
        Self {
            n: n as f64,
            k: k as f64,
        }
    }

    /// `k / n`, and 0 of nothing.
    #[must_use]
    pub fn rate(self) -> f64 {
        if self.n > 0.0 { self.k / self.n } else { 0.0 }
    }

    pub(crate) fn add(&mut self, other: Sample) {
        self.n += other.n;
        self.k += other.k;
    }

    pub(crate) fn scale(&mut self, by: f64) {
        self.n *= by;
        self.k *= by;
    }
}

/// The same for both sides over the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Stable's.
    pub stable: Sample,
    /// The canary's.
    pub canary: Sample,
}

impl Pair {
    pub(crate) fn add(&mut self, other: Pair) {
        self.stable.add(other.stable);
        self.canary.add(other.canary);
    }

    pub(crate) fn scale(&mut self, by: f64) {
        self.stable.scale(by);
        self.canary.scale(by);
    }
}

/// What is left after `seconds` of something that halves every `half_life` seconds.
pub(crate) fn half(seconds: f64, half_life: f64) -> f64 {
    (-std::f64::consts::LN_2 * seconds / half_life).exp()
}
