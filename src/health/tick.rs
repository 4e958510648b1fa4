//! One tick as the gate reads it, made of what came to both sides since the tick before.
//!
//! The gate is told latencies in buckets whose upper bounds are [`bounds_ms`], stable's hosts in
//! eight groups and the variant's callers in 64 slots. It learns from stable's buckets what is slow
//! and publishes that as bounds of those buckets ([`Thresholds`]); slow requests of sides and of
//! groups are counted here by the same bounds, after the fact, from their histograms. So no worker
//! has to know a threshold, and one that moves leaves no tick counted by two measures.
//!
//! Only requests that say something of the version are in any of this. Goals are
//! those of the route's experiment; without one nobody was exposed. Shadow answers are
//! not health's: what the route's shadow says is handed on as it came. The
//! counts of the sides stay without pairs: the gate would compare them, and stable's pairs are the
//! shadow's to weigh. This is the one file of `health` that names the gate, and only what the gate
//! is told.

use super::counters::{COARSE_BOUNDS_MS, Counters, coarse};
use super::latency::value;
use crate::assign::ramp::Millis;
use crate::assign::share::Share;
use crate::gate::detector::Detector;
use crate::gate::input::{BUCKETS, COHORTS, Cohort, GROUPS, KEY_SLOTS};
use crate::gate::{At, Canary, Counts, Group, KeySlot, Ppm, Shadowed, Stable, Tick};

/// The upper bounds of the latency buckets, for the gate's settings.
pub fn bounds_ms() -> Vec<f64> {
    COARSE_BOUNDS_MS.iter().map(|bound| *bound as f64).collect()
}

/// Which latency bucket is the last that is not slow; nothing while that is not known, and then
/// nothing is counted as slow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Thresholds {
    /// The bound that about 1.5 % of stable's requests exceed.
    pub far: Option<usize>,
    /// The bound that about 10 % exceed.
    pub near: Option<usize>,
}

impl Thresholds {
    /// Those that a gate has learned by now.
    pub fn of(detector: &Detector) -> Self {
        let (far, near) = detector.slow_thresholds();
        Self { far, near }
    }
}

/// What a tick has beside its counts.
#[derive(Debug, Clone, Copy)]
pub struct During {
    /// Its end; before 1970 is 1970.
    pub at: Millis,
    /// The variant's share.
    pub share: Share,
    /// Stable's share.
    pub stable_share: Share,
}

/// The tick of the variant at `place` (1 is the first) of what `came` to the sides of its route, in
/// their order, as [`RouteWatch::look`](super::watch::RouteWatch::look) tells it. Where that told
/// nothing both sides are absent, and the gate holds. `shadowed` is what a shadow of this variant
/// says of it, which needs no counts.
pub fn tick(
    came: Option<&[Counters]>,
    place: usize,
    thresholds: Thresholds,
    during: During,
    shadowed: Option<Shadowed>,
) -> Tick {
    let of = |place: usize| came.and_then(|sides| sides.get(place));
    Tick {
        at: At(u64::try_from(during.at.0).unwrap_or(0)),
        share: Ppm(during.share.ppm()),
        stable_share: Ppm(during.stable_share.ppm()),
        stable: of(0).map(|side| Stable {
            counts: counts(side, thresholds),
            groups: groups(side, thresholds),
        }),
        canary: of(place).map(|side| Canary {
            counts: counts(side, thresholds),
            slots: slots(side),
        }),
        shadow: shadowed,
    }
}

fn counts(side: &Counters, thresholds: Thresholds) -> Counts {
    let mut latency = [0_u64; BUCKETS];
    for (index, count) in side.latencies().0.iter().enumerate() {
        if *count > 0
            && let Some(sum) = latency.get_mut(coarse(value(index)))
        {
            *sum = sum.saturating_add(*count);
        }
    }
    let mut conversions: u64 = 0;
    let mut cohorts = [Cohort::default(); COHORTS];
    let counted = side
        .cohort_exposures()
        .iter()
        .zip(side.cohort_conversions());
    for (cohort, (exposures, converted)) in cohorts.iter_mut().zip(counted) {
        conversions = conversions.saturating_add(*converted);
        *cohort = Cohort {
            exposures: *exposures,
            conversions: *converted,
        };
    }
    Counts {
        requests: side.judged(),
        errors: side.errors(),
        slow: beyond(&latency, thresholds.far),
        slow90: beyond(&latency, thresholds.near),
        conversions,
        cohorts: Some(cohorts),
        latency,
        ..Counts::default()
    }
}

fn groups(side: &Counters, thresholds: Thresholds) -> [Group; GROUPS] {
    let mut groups = [Group::default(); GROUPS];
    let counted = side.group_requests().iter().zip(side.group_errors());
    let counted = counted.zip(side.group_latencies());
    for (group, ((requests, errors), latency)) in groups.iter_mut().zip(counted) {
        *group = Group {
            requests: *requests,
            errors: *errors,
            slow: beyond(latency, thresholds.far),
            slow90: beyond(latency, thresholds.near),
            conversions: 0,
        };
    }
    groups
}

fn slots(side: &Counters) -> [KeySlot; KEY_SLOTS] {
    let mut slots = [KeySlot::default(); KEY_SLOTS];
    let counted = side.slot_requests().iter().zip(side.slot_errors());
    for (slot, (requests, errors)) in slots.iter_mut().zip(counted) {
        *slot = KeySlot {
            requests: *requests,
            errors: *errors,
        };
    }
    slots
}

fn beyond(latency: &[u64], threshold: Option<usize>) -> u64 {
    let Some(last) = threshold else {
        return 0;
    };
    let slow = latency.iter().skip(last.saturating_add(1));
    slow.fold(0, |sum, count| sum.saturating_add(*count))
}

// What health counts and what the gate reads are of the same sizes.
const _: () = assert!(
    super::counters::COARSE == BUCKETS
        && super::counters::GROUPS == GROUPS
        && super::counters::COHORTS == COHORTS
        && super::callers::KEY_SLOTS == KEY_SLOTS
);

#[cfg(test)]
#[path = "tick_tests.rs"]
mod tests;
