//! What the gate is told: counts of both sides over one tick, and the time.
//!
//! The caller sums its workers' counters once a tick (a second is what the detector was measured
//! at; ten work as well) and hands over what came since the tick before. Everything in here is
//! checked before it is judged: a side whose counts contradict each other is as good as missing.
//!
//! Differences between shadow answers come in one of two forms. Where both sides have pairs of their
//! own, as in a trace, they are in [`Counts`] and compared like everything else. The filter's shadow
//! hands over its verdict instead ([`Shadowed`]): it knows for each path what is noise, which rates
//! of differing pairs do not tell where a timestamp makes all pairs differ.

use super::detector::sample::{Pair, Sample};
use crate::bounds::within;
use std::time::Duration;

/// Upstream hosts of stable fall into this many groups, by a hash of the address.
pub const GROUPS: usize = 8;
/// Callers of the canary fall into this many slots, by a hash of the key.
pub const KEY_SLOTS: usize = 64;
/// Callers whose requests were given their variant by the key fall into this many cohorts, by a hash
/// of the key.
pub const COHORTS: usize = 8;
/// The latency histogram has at most this many buckets, the open last one included.
pub const BUCKETS: usize = 24;

/// Milliseconds since an origin of the caller's choice, usually the Unix epoch.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct At(pub u64);

impl At {
    /// The time from `earlier` to here; nothing if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: At) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_millis)
    }
}

/// A share of all slots, in parts per million.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Ppm(pub u32);

impl Ppm {
    /// Everything.
    pub const ALL: Ppm = Ppm(1_000_000);

    /// As a fraction of one; above one is one.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0.min(Self::ALL.0)) / f64::from(Self::ALL.0)
    }

    /// The nearest share to `fraction`, rounded up so that a wish above zero stays above zero.
    #[must_use]
    pub fn from_fraction(fraction: f64) -> Ppm {
        // A float's `as` saturates, and NaN becomes 0.
        Ppm((within(fraction, 0.0, 1.0) * f64::from(Self::ALL.0)).ceil() as u32)
    }
}

/// What came to one variant in one tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Finished requests.
    pub requests: u64,
    /// Those that ended in an error.
    pub errors: u64,
    /// Those slower than the threshold of stable's slowest 1.5 %.
    pub slow: u64,
    /// Those slower than the threshold of stable's slowest 10 %.
    pub slow90: u64,
    /// Those that met a goal; 0 on both sides where there are no goals.
    pub conversions: u64,
    /// The requests that can have met it, by callers; without it each of `requests` can.
    pub cohorts: Option<[Cohort; COHORTS]>,
    /// Pairs that were compared, where both sides have some. Stable's are stable against stable:
    /// noise. 0 on both sides where the shadow gives its verdict ([`Shadowed`]).
    pub shadowed: u64,
    /// Those pairs that differed.
    pub diffs: u64,
    /// Requests by latency bucket, not cumulative; all 0 if it was not measured.
    pub latency: [u64; BUCKETS],
}

impl Counts {
    /// What came between two readings of counters that only grow.
    ///
    /// Nothing if any of them went backward: the counters were lost in between (a worker went, the
    /// shared data was cleared), so that the difference says nothing.
    #[must_use]
    pub fn since(&self, earlier: &Counts) -> Option<Counts> {
        let mut latency = [0; BUCKETS];
        for ((to, now), then) in latency.iter_mut().zip(&self.latency).zip(&earlier.latency) {
            *to = now.checked_sub(*then)?;
        }
        let mut cohorts = self.cohorts;
        let earlier_cohorts = earlier.cohorts.iter().flatten();
        for (to, then) in cohorts.iter_mut().flatten().zip(earlier_cohorts) {
            to.exposures = to.exposures.checked_sub(then.exposures)?;
            to.conversions = to.conversions.checked_sub(then.conversions)?;
        }
        Some(Counts {
            requests: self.requests.checked_sub(earlier.requests)?,
            errors: self.errors.checked_sub(earlier.errors)?,
            slow: self.slow.checked_sub(earlier.slow)?,
            slow90: self.slow90.checked_sub(earlier.slow90)?,
            conversions: self.conversions.checked_sub(earlier.conversions)?,
            cohorts,
            shadowed: self.shadowed.checked_sub(earlier.shadowed)?,
            diffs: self.diffs.checked_sub(earlier.diffs)?,
            latency,
        })
    }

    /// Whether no count contradicts another. More than 2^53 requests in a tick contradict sense.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        self.requests < 1 << 53
            && self.shadowed < 1 << 53
            && [self.errors, self.slow, self.slow90, self.conversions]
                .iter()
                .all(|part| *part <= self.requests)
            && self.diffs <= self.shadowed
            && self
                .cohorts
                .iter()
                .flatten()
                .all(|cohort| cohort.conversions <= cohort.exposures && cohort.exposures < 1 << 53)
    }
}

/// One group of stable's upstream hosts in one tick; its spread tells noise from a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Finished requests.
    pub requests: u64,
    /// Those that ended in an error.
    pub errors: u64,
    /// Those beyond the threshold of [`Counts::slow`].
    pub slow: u64,
    /// Those beyond the threshold of [`Counts::slow90`].
    pub slow90: u64,
    /// Those that met a goal.
    pub conversions: u64,
}

/// One slot of the canary's callers in one tick; a slot that errs far more than the others is one
/// caller who tries again and again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeySlot {
    /// Finished requests.
    pub requests: u64,
    /// Those that ended in an error.
    pub errors: u64,
}

/// Some of a side's callers in one tick, of the requests that the key gave their variant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cohort {
    /// Those requests that ended, however.
    pub exposures: u64,
    /// Those that met the goal.
    pub conversions: u64,
}

/// Stable's side of a tick.
#[derive(Clone, Debug)]
pub struct Stable {
    /// All of stable.
    pub counts: Counts,
    /// The same by groups of hosts; all 0 if it is not known, and noise is then taken as binomial.
    pub groups: [Group; GROUPS],
}

/// The canary's side of a tick.
#[derive(Clone, Debug)]
pub struct Canary {
    /// All of the canary.
    pub counts: Counts,
    /// The same by callers; all 0 if it is not known, and no caller is then held back.
    pub slots: [KeySlot; KEY_SLOTS],
}

/// What the shadow of the route says of the canary.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shadowed {
    /// Pairs of an answer of stable's and one of the canary's that were compared in the tick.
    pub pairs: u64,
    /// Those that differed, in whatever way.
    pub differing: u64,
    /// While the shadow's verdict on this revision is `fail`: the pairs it rests on, those that
    /// differed as the counted ones. Stable's are stable against stable: noise.
    pub failed: Option<Pair>,
}

impl Shadowed {
    /// The pairs of the tick.
    pub(crate) fn compared(&self) -> Sample {
        Sample::of(self.pairs, self.differing.min(self.pairs))
    }
}

/// One step of time. A side is absent when its counts could not be had.
#[derive(Clone, Debug, Default)]
pub struct Tick {
    /// The end of the tick.
    pub at: At,
    /// The canary's share during the tick.
    pub share: Ppm,
    /// Stable's share during the tick: what is left, unless there are more variants.
    pub stable_share: Ppm,
    /// What came to stable.
    pub stable: Option<Stable>,
    /// What came to the canary.
    pub canary: Option<Canary>,
    /// What the route's shadow says of the canary; none if there is none that compares.
    pub shadow: Option<Shadowed>,
}

impl Tick {
    /// Stable's side, if it can be believed.
    pub(crate) fn stable(&self) -> Option<&Stable> {
        self.stable
            .as_ref()
            .filter(|side| side.counts.is_plausible())
    }

    /// The canary's side, if it can be believed.
    pub(crate) fn canary(&self) -> Option<&Canary> {
        self.canary
            .as_ref()
            .filter(|side| side.counts.is_plausible())
    }
}
