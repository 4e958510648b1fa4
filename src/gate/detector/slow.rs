//! What counts as slow, learned from stable.
//!
//! A latency is judged by yes-or-no questions, as an error is: is the request slower than most of
//! stable's (about 10 % are), than nearly all (1.5 %), than all but the slowest (0.15 %)? The first
//! sees a shift of the whole, the others a longer tail; a doubled p99 shows twice as soon at
//! 0.15 % than at 1.5 %, where the usual tail hides it. The thresholds are bounds of the histogram
//! that stable's latencies are kept in, so that both sides' counts follow from their histograms:
//! of all bounds those whose exceedance is nearest the aim, on a logarithmic scale.
//!
//! The memory is half an hour, so that an outage of both does not redefine slow, and a threshold
//! stays until it is off by a factor of three. When it moves, the evidence gathered with the old
//! one is dropped. A stable that never exceeds some bound is judged at that bound; one that mostly
//! exceeds the last one is not judged, for there is nothing above to tell apart.

use super::sample::half;
use crate::gate::input::BUCKETS;
use serde::{Deserialize, Serialize};

/// Half-life of the histogram, in seconds.
const MEMORY_S: f64 = 1_800.0;
/// Requests of stable beyond a threshold of that aim, before one is chosen.
const LEAST_BEYOND: f64 = 7.5;
/// A threshold stays while its exceedance is within this factor of the aim.
const TOLERATED: f64 = 3.0;
/// An exceedance below this is as good as never.
const NEVER: f64 = 1e-4;
/// A threshold that more than this part of stable exceeds tells nothing.
const MOST: f64 = 0.3;

/// The aims: part of stable's requests beyond the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// 0.15 %.
    Farthest,
    /// 1.5 %.
    Far,
    /// 10 %.
    Near,
}

impl Tail {
    fn aim(self) -> f64 {
        match self {
            Tail::Farthest => 0.0015,
            Tail::Far => 0.015,
            Tail::Near => 0.1,
        }
    }
}

/// Stable's latencies and the thresholds, as indices of the last bucket that is not slow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Learner {
    histogram: [f64; BUCKETS],
    farthest: Option<u8>,
    far: Option<u8>,
    near: Option<u8>,
}

/// Which thresholds moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// [`Tail::Farthest`]
    pub farthest: bool,
    /// [`Tail::Far`]
    pub far: bool,
    /// [`Tail::Near`]
    pub near: bool,
}

impl Learner {
    /// Takes in a tick of stable's latencies, kept in buckets of which the first `bounded` have
    /// an upper bound; says which thresholds moved.
    pub fn learn(&mut self, latency: &[u64; BUCKETS], bounded: usize, seconds: f64) -> Moved {
        let left = half(seconds, MEMORY_S);
        for (sum, now) in self.histogram.iter_mut().zip(latency) {
            *sum = *sum * left + *now as f64;
        }
        let far = self.choose(Tail::Far, self.far, bounded);
        let near = self.choose(Tail::Near, self.near, bounded);
        // With few buckets two aims may meet in one bound: one question then.
        let farthest = self
            .choose(Tail::Farthest, self.farthest, bounded)
            .filter(|bound| Some(*bound) != far);
        let moved = Moved {
            farthest: farthest != self.farthest,
            far: far != self.far,
            near: near != self.near,
        };
        (self.farthest, self.far, self.near) = (farthest, far, near);
        moved
    }

    /// The bucket whose upper bound is the threshold; nothing while it is not known.
    #[must_use]
    pub fn threshold(&self, tail: Tail) -> Option<usize> {
        match tail {
            Tail::Farthest => self.farthest,
            Tail::Far => self.far,
            Tail::Near => self.near,
        }
        .map(usize::from)
    }

    /// How many of `latency` lie beyond the threshold.
    #[must_use]
    pub fn beyond(&self, tail: Tail, latency: &[u64; BUCKETS]) -> Option<u64> {
        let first = self.threshold(tail)?.saturating_add(1);
        Some(
            latency
                .iter()
                .skip(first)
                .fold(0, |sum, n| sum.saturating_add(*n)),
        )
    }

    fn choose(&self, tail: Tail, current: Option<u8>, bounded: usize) -> Option<u8> {
        let total: f64 = self.histogram.iter().sum();
        if total * tail.aim() < LEAST_BEYOND {
            return current;
        }
        let mut beyond = total;
        let mut best: Option<(u8, f64)> = None;
        let mut held = false;
        let bounded = bounded.min(BUCKETS.saturating_sub(1));
        for (index, count) in (0_u8..).zip(self.histogram.iter().take(bounded)) {
            beyond = (beyond - count).max(0.0);
            let exceedance = (beyond / total).max(NEVER);
            let off = (exceedance / tail.aim()).ln().abs();
            if current == Some(index) {
                held = off <= TOLERATED.ln();
            }
            if exceedance <= MOST && best.is_none_or(|(_, least)| off < least) {
                best = Some((index, off));
            }
        }
        if held {
            current
        } else {
            best.map(|(index, _)| index)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stable's latencies: of 10,000 requests so many per bucket.
    fn buckets(counts: &[u64]) -> [u64; BUCKETS] {
        let mut all = [0; BUCKETS];
        for (bucket, count) in all.iter_mut().zip(counts) {
            *bucket = *count;
        }
        all
    }

    fn learned(counts: &[u64]) -> Learner {
        let mut learner = Learner::default();
        learner.learn(&buckets(counts), counts.len() - 1, 1.0);
        learner
    }

    const USUAL: [u64; 6] = [5_000, 4_000, 850, 135, 13, 2];

    #[test]
    fn the_thresholds_are_the_bounds_nearest_the_aims() {
        let learner = learned(&USUAL);
        assert_eq!(learner.threshold(Tail::Near), Some(1));
        assert_eq!(learner.threshold(Tail::Far), Some(2));
        assert_eq!(learner.threshold(Tail::Farthest), Some(3));
        assert_eq!(learner.beyond(Tail::Far, &buckets(&USUAL)), Some(150));
    }

    #[test]
    fn too_few_requests_teach_nothing() {
        assert_eq!(learned(&[50, 40, 8, 1, 1]).threshold(Tail::Near), Some(1));
        assert_eq!(learned(&[50, 40, 8, 1, 1]).threshold(Tail::Far), None);
        assert_eq!(learned(&[5, 4, 1]).threshold(Tail::Near), None);
    }

    #[test]
    fn an_outage_of_both_does_not_redefine_slow() {
        let mut learner = learned(&USUAL);
        for _ in 0..1_800 {
            learner.learn(&buckets(&USUAL), 5, 1.0);
        }
        for _ in 0..120 {
            let moved = learner.learn(&buckets(&[2_000, 4_000, 3_000, 900, 90, 10]), 5, 1.0);
            assert_eq!(moved, Moved::default());
        }
    }

    #[test]
    fn where_all_is_beyond_the_last_bound_there_is_no_threshold() {
        let learner = learned(&[0, 0, 0, 10_000]);
        for tail in [Tail::Near, Tail::Far, Tail::Farthest] {
            assert_eq!(learner.threshold(tail), None);
        }
    }

    #[test]
    fn where_all_is_fast_the_lowest_bound_is_the_threshold() {
        let learner = learned(&[10_000, 0, 0, 0]);
        assert_eq!(learner.threshold(Tail::Near), Some(0));
        assert_eq!(
            learner.threshold(Tail::Farthest),
            None,
            "the same bound asks nothing new"
        );
    }
}
