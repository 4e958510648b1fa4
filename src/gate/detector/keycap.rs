//! One caller's retries are not the canary's errors.
//!
//! Callers fall into 64 slots by their key's hash. A slot may err as often as the quieter three
//! quarters of the slots do, times three, plus three; what it errs beyond that is left out, errors
//! and requests alike. A canary that fails everybody raises all slots and so its own allowance.
//! Two memories are kept, 20 seconds against a storm and half an hour against a drip, and the
//! stricter one counts.
//!
//! Limits: callers without a key must be put into slots by their source, or they are nobody's; a
//! storm that fills more than a quarter of the slots is taken for the canary's own fault. Slow
//! answers and differences are not capped; conversions are by [`cohorts`](super::cohorts).

use super::sample::{Sample, half};
use crate::gate::input::{KEY_SLOTS, KeySlot};
use crate::sorted::sorted_by;
use serde::{Deserialize, Serialize};

/// Half-lives in seconds.
const MEMORIES_S: [f64; 2] = [20.0, 1_800.0];
/// Errors that any caller may have, whatever the others have.
const FREE_ERRORS: f64 = 3.0;
/// How many times the quieter slots' rate a slot may have.
const OVER_QUIET: f64 = 3.0;
/// The quieter slots are those up to this quantile.
const QUIET: f64 = 0.75;
/// A slot with less than this left of its requests is empty.
const ACTIVE: f64 = 0.01;

/// 64 slots, as eight rows because serde knows arrays only up to 32.
type Slots = [[Sample; 8]; KEY_SLOTS / 8];

/// What each slot was admitted, remembered over two spans.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeyCap {
    memories: [Slots; MEMORIES_S.len()],
}

impl KeyCap {
    /// The canary's requests and errors of a tick without what a few callers repeat.
    ///
    /// `all` counts every request, also those that fell into no slot: those are admitted as they
    /// are.
    pub fn admit(&mut self, all: Sample, slots: &[KeySlot; KEY_SLOTS], seconds: f64) -> Sample {
        let mut allowed = [f64::INFINITY; KEY_SLOTS];
        for (memory, half_life) in self.memories.iter_mut().zip(MEMORIES_S) {
            let left = half(seconds, half_life);
            for slot in memory.as_flattened_mut() {
                slot.scale(left);
                if slot.n < ACTIVE {
                    *slot = Sample::default();
                }
            }
            narrow(&mut allowed, memory, slots);
        }
        let mut refused = 0.0;
        for (index, (slot, allowed)) in slots.iter().zip(allowed).enumerate() {
            let errors = slot.errors as f64;
            let k = errors.min(allowed);
            let n = requests(slot) - (errors - k);
            refused += errors - k;
            for memory in &mut self.memories {
                if let Some(past) = memory.as_flattened_mut().get_mut(index) {
                    past.add(Sample { n, k });
                }
            }
        }
        Sample {
            n: (all.n - refused).max(0.0),
            k: (all.k - refused).max(0.0),
        }
    }
}

/// A slot's requests; counters read in the middle of a request may show its error first.
fn requests(slot: &KeySlot) -> f64 {
    slot.requests.max(slot.errors) as f64
}

/// Lowers what each slot is allowed to what this memory allows.
fn narrow(allowed: &mut [f64; KEY_SLOTS], memory: &Slots, now: &[KeySlot; KEY_SLOTS]) {
    let with_now = || memory.as_flattened().iter().zip(now);
    if now.iter().all(|slot| slot.errors == 0) {
        return;
    }
    let mut active = [0.0; KEY_SLOTS];
    let mut count = 0_usize;
    for (past, slot) in with_now() {
        if past.n + requests(slot) >= ACTIVE
            && let Some(place) = active.get_mut(count)
        {
            *place = past.k + slot.errors as f64;
            count = count.saturating_add(1);
        }
    }
    if count <= 1 {
        return;
    }
    let active = active.get(..count).unwrap_or_default();
    let active = sorted_by(active.iter().copied(), f64::total_cmp);
    let rank = (QUIET * (count.saturating_sub(1)) as f64) as usize;
    let quiet = active.get(rank).copied().unwrap_or(0.0);
    let mut pool = Sample::default();
    for (past, slot) in with_now() {
        let k = past.k + slot.errors as f64;
        let n = past.n + requests(slot);
        if n >= ACTIVE && k <= quiet {
            pool.add(Sample { n, k });
        }
    }
    for ((allowed, past), slot) in allowed.iter_mut().zip(memory.as_flattened()).zip(now) {
        let served = past.n + requests(slot) - slot.errors as f64;
        let here = FREE_ERRORS + OVER_QUIET * pool.rate() * served - past.k;
        *allowed = allowed.min(here.max(0.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tick in which every slot has four requests; slot 9 has `of_one` errors, the others
    /// `of_each`.
    fn tick(of_each: u64, of_one: u64) -> (Sample, [KeySlot; KEY_SLOTS]) {
        let mut slots = [KeySlot {
            requests: 4,
            errors: of_each,
        }; KEY_SLOTS];
        slots[9] = KeySlot {
            requests: 4 + of_one,
            errors: of_one,
        };
        let n = slots.iter().map(|slot| slot.requests).sum();
        let k = slots.iter().map(|slot| slot.errors).sum();
        (Sample::of(n, k), slots)
    }

    #[test]
    fn one_callers_storm_leaves_next_to_nothing() {
        let mut cap = KeyCap::default();
        let admitted: f64 = (0..600)
            .map(|_| {
                let (all, slots) = tick(0, 20);
                cap.admit(all, &slots, 1.0).k
            })
            .sum();
        assert!(admitted < 6.0, "{admitted} of 12000");
    }

    #[test]
    fn a_storms_requests_leave_with_its_errors() {
        let mut cap = KeyCap::default();
        for _ in 0..60 {
            let (all, slots) = tick(0, 20);
            cap.admit(all, &slots, 1.0);
        }
        let (all, slots) = tick(0, 20);
        let admitted = cap.admit(all, &slots, 1.0);
        assert!((all.n - all.k - (admitted.n - admitted.k)).abs() < 1e-9);
    }

    #[test]
    fn a_canary_that_fails_everybody_is_admitted_whole() {
        let mut cap = KeyCap::default();
        for _ in 0..60 {
            let (all, slots) = tick(0, 0);
            cap.admit(all, &slots, 1.0);
        }
        for _ in 0..60 {
            let (all, slots) = tick(4, 4);
            assert_eq!(cap.admit(all, &slots, 1.0).k, all.k);
        }
    }

    #[test]
    fn errors_in_no_slot_are_admitted() {
        let all = Sample { n: 10.0, k: 7.0 };
        let slots = [KeySlot::default(); KEY_SLOTS];
        assert_eq!(KeyCap::default().admit(all, &slots, 1.0), all);
    }

    #[test]
    fn one_caller_alone_is_not_capped() {
        let mut slots = [KeySlot::default(); KEY_SLOTS];
        slots[3] = KeySlot {
            requests: 50,
            errors: 50,
        };
        let all = Sample { n: 50.0, k: 50.0 };
        assert_eq!(KeyCap::default().admit(all, &slots, 1.0), all);
    }
}
