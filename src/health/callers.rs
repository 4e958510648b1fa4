//! Callers, by a hash of their key and never by the key.
//!
//! How many different callers had errors tells one client that tries again and again from an
//! outage. They are counted by linear counting (Whang, Vander-Zanden, Taylor 1990): each sets one
//! of 1,024 bits, and `-m ln(unset / m)` estimates how many there were, within about 10 % up to
//! 3,000; 7,000 and more set nearly all bits and are told as "at least 7,000". The bits are of one
//! minute and the minute before, so that yesterday's callers do not fill them.
//!
//! The 64 slots that the gate asks for are the upper six bits of the same hash; the bitmap takes
//! the lower ten, so the two do not repeat each other.

use super::bytes::{Reader, Writer};
use crate::assign::hash;
use crate::assign::ramp::Millis;

/// Slots that callers fall into for the gate.
pub const KEY_SLOTS: usize = 64;

/// A caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Caller(pub u32);

impl Caller {
    /// The caller with this key; for one without a key, its address.
    pub fn of(key: &[u8]) -> Self {
        Self(hash::caller(key))
    }

    /// The slot, 0 to 63.
    pub const fn slot(self) -> usize {
        (self.0 >> 26) as usize
    }

    /// The cohort, 0 to 7.
    pub const fn cohort(self) -> usize {
        (self.0 >> 29) as usize
    }
}

const WORDS: usize = 16;
const BITS: f64 = 1024.0;
/// With fewer bits than this unset the estimate is no more than a lower bound.
const LEAST_UNSET: u32 = 1;

type Bits = [u64; WORDS];

/// Which callers had errors, in the running minute and the one before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failing {
    minute: i64,
    now: Bits,
    before: Bits,
}

/// How many callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// The estimate, or the lower bound.
    pub callers: u32,
    /// Whether there may be any number more.
    pub at_least: bool,
}

impl Failing {
    /// `caller` had an error at `now`.
    pub fn add(&mut self, caller: Caller, now: Millis) {
        self.turn(minute(now));
        let index = (caller.0 & 0x3ff) as usize;
        if let Some(word) = self.now.get_mut(index / 64) {
            *word |= 1_u64.wrapping_shl((index % 64) as u32);
        }
    }

    /// All callers of both.
    pub fn merge(&mut self, other: &Self) {
        self.turn(other.minute);
        let mut aligned = other.clone();
        aligned.turn(self.minute);
        unite(&mut self.now, &aligned.now);
        unite(&mut self.before, &aligned.before);
    }

    /// How many different callers had errors in the minute of `now` and the one before.
    pub fn estimate(&self, now: Millis) -> Estimate {
        let mut turned = self.clone();
        turned.turn(minute(now));
        unite(&mut turned.now, &turned.before);
        let set: u32 = turned.now.iter().map(|word| word.count_ones()).sum();
        let unset = (BITS as u32).saturating_sub(set);
        let at_least = unset < LEAST_UNSET;
        let part = f64::from(unset.max(LEAST_UNSET)) / BITS;
        Estimate {
            callers: (-BITS * part.ln()).round() as u32,
            at_least,
        }
    }

    /// Whether no caller is known.
    pub fn is_empty(&self) -> bool {
        self.now == Bits::default() && self.before == Bits::default()
    }

    /// Moves on to `minute`. A clock set back changes nothing: what is counted meanwhile belongs
    /// to the last minute known, until that comes again.
    fn turn(&mut self, minute: i64) {
        if self.is_empty() {
            self.minute = minute;
        }
        match minute.saturating_sub(self.minute) {
            ..=0 => return,
            1 => self.before = self.now,
            _ => self.before = Bits::default(),
        }
        self.now = Bits::default();
        self.minute = minute;
    }

    /// Writes it.
    pub fn write(&self, to: &mut Writer) {
        to.signed(self.minute);
        to.run(&self.now);
        to.run(&self.before);
    }

    /// Reads it.
    pub fn read(from: &mut Reader<'_>) -> Option<Self> {
        let mut read = Self {
            minute: from.signed()?,
            ..Self::default()
        };
        from.run(&mut read.now)?;
        from.run(&mut read.before)?;
        Some(read)
    }
}

fn unite(bits: &mut Bits, others: &Bits) {
    bits.iter_mut()
        .zip(others)
        .for_each(|(to, other)| *to |= other);
}

fn minute(now: Millis) -> i64 {
    now.0.div_euclid(60_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(callers: u32, now: i64) -> Failing {
        let mut failing = Failing::default();
        for caller in 0..callers {
            failing.add(Caller::of(&caller.to_le_bytes()), Millis(now));
        }
        failing
    }

    #[test]
    fn callers_are_counted_and_their_repetitions_are_not() {
        for callers in [0, 1, 10, 100, 1000, 3000] {
            let mut failing = with(callers, 0);
            failing.merge(&with(callers, 0));
            let told = failing.estimate(Millis(0));
            let off = f64::from(told.callers) - f64::from(callers);
            assert!(
                off.abs() <= 0.1 * f64::from(callers),
                "{told:?} of {callers}"
            );
            assert!(!told.at_least);
        }
        let many = with(100_000, 0).estimate(Millis(0));
        assert!(many.at_least && many.callers >= 7_000, "{many:?}");
    }

    #[test]
    fn callers_of_two_minutes_ago_are_forgotten() {
        let mut failing = with(10, 0);
        assert!(failing.estimate(Millis(119_999)).callers >= 10);
        assert_eq!(failing.estimate(Millis(120_000)).callers, 0);
        failing.add(Caller(7), Millis(60_000));
        assert_eq!(failing.estimate(Millis(120_000)).callers, 1);
    }

    #[test]
    fn a_clock_that_is_set_back_loses_nobody() {
        let mut failing = with(10, 600_000);
        failing.add(Caller(0), Millis(0));
        assert!(failing.estimate(Millis(0)).callers >= 10);
        assert_eq!(failing.estimate(Millis(i64::MAX)).callers, 0);
        assert!(failing.estimate(Millis(i64::MIN)).callers >= 10);
    }

    #[test]
    fn slots_are_even_and_keys_are_told_apart() {
        let mut slots = [0; KEY_SLOTS];
        for caller in 0_u32..64_000 {
            slots[Caller::of(format!("user-{caller}").as_bytes()).slot()] += 1;
        }
        assert!(
            slots.iter().all(|count| (850..1150).contains(count)),
            "{slots:?}"
        );
    }

    proptest! {
        #[test]
        fn merging_is_the_same_in_any_order(
            parts in prop::collection::vec((0_u32..40, -3_i64..6), 3),
        ) {
            let [a, b, c] = [0, 1, 2].map(|i| with(parts[i].0, parts[i].1 * 60_000));
            let merged = |order: [&Failing; 3]| {
                let mut sum = order[0].clone();
                sum.merge(order[1]);
                sum.merge(order[2]);
                sum.estimate(Millis(360_000))
            };
            prop_assert_eq!(merged([&a, &b, &c]), merged([&c, &b, &a]));
            prop_assert_eq!(merged([&a, &b, &c]), merged([&b, &a, &c]));
        }
    }
}
