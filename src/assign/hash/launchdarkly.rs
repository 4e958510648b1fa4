//! LaunchDarkly: percentage rollouts.
//!
//! The bucket is the first 15 hex digits of `sha1(prefix "." value)` over 0xFFFFFFFFFFFFFFF, in
//! double precision; the prefix is the rollout's seed in decimal, or `key "." salt` without one.
//! A variation of weight `w` (parts of 100,000) that comes first is taken where
//! `bucket < w / 100000.0`.
//!
//! The slot is how many of 1/1000000.0, 2/1000000.0, …, 999999/1000000.0 are not above the bucket.
//! So `slot < k` is `bucket < k / 1000000.0` for every whole `k` to 999,999, with the rounding of
//! the division included; and a weight `w` is the share `k = 10 * w`, whose quotient is the same
//! double. (`floor(bucket * 1000000.0)` alone would round once more and put some borders wrong.)
//! A bucket of 1.0, one in 2^54, falls in the last slot.
//!
//! A percentage for a later variation adds doubles, which may round its border by 2^-53. The SDKs
//! for Go, Java and .NET compute in single precision; they differ from this, and from the SDKs for
//! Python and Node.js, for the few callers within 2^-24 of a border. Integers are hashed as decimal
//! text; for booleans and other numbers the bucket is 0.0, which is the caller's concern.

use super::Slot;
use crate::assign::share::SLOTS;
use core::fmt::{self, Write};
use sha1_smol::Sha1;

/// `float(0xFFFFFFFFFFFFFFF)` of the SDKs: 15 hex digits, which as a double is 2^60.
const LONG_SCALE: f64 = 0x0fff_ffff_ffff_ffff_u64 as f64;

/// What stands before the value in the hashed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix<'a> {
    /// The flag's key and its salt.
    Flag {
        /// The flag's key.
        key: &'a str,
        /// The flag's salt.
        salt: &'a str,
    },
    /// The rollout's seed; 0 is a seed too. (The npm SDK 9.13 takes a seed of 0 for none.)
    Seed(i64),
}

impl<'a> Prefix<'a> {
    /// The seed where there is one, else key and salt.
    pub const fn new(key: &'a str, salt: &'a str, seed: Option<i64>) -> Self {
        match seed {
            Some(seed) => Self::Seed(seed),
            None => Self::Flag { key, salt },
        }
    }
}

/// The bucket of `value`, 0.0 to 1.0.
pub fn bucket(prefix: Prefix<'_>, value: &[u8]) -> f64 {
    let mut text = Text(Sha1::new());
    // Writing into a hash does not fail.
    let _ = match prefix {
        Prefix::Flag { key, salt } => write!(text, "{key}.{salt}."),
        Prefix::Seed(seed) => write!(text, "{seed}."),
    };
    text.0.update(value);
    let [a, b, c, d, e, f, g, h, ..] = text.0.digest().bytes();
    let digits = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 4;
    digits as f64 / LONG_SCALE
}

/// The slot of `value`.
pub fn slot(prefix: Prefix<'_>, value: &[u8]) -> Slot {
    slot_of(bucket(prefix, value))
}

fn slot_of(bucket: f64) -> Slot {
    let border = |slot: u32| f64::from(slot) / f64::from(SLOTS);
    // One multiplication is off by at most one slot, which the borders then settle.
    let near = (bucket * f64::from(SLOTS)) as u32;
    let above = near.saturating_add(1);
    Slot::saturating(if border(above) <= bucket {
        above
    } else if border(near) > bucket {
        near.saturating_sub(1)
    } else {
        near
    })
}

struct Text(Sha1);

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_ends_exactly_where_the_vendors_comparison_flips() {
        let mut rounded_wrong = 0;
        for share in 1..SLOTS {
            let border = f64::from(share) / f64::from(SLOTS);
            assert_eq!(slot_of(border).get(), share);
            assert_eq!(slot_of(border.next_down()).get(), share - 1);
            rounded_wrong += u32::from((border.next_down() * 1e6) as u32 == share);
        }
        assert!(rounded_wrong > 0, "the correction would be for nothing");
    }

    #[test]
    fn the_ends_of_the_buckets_are_the_ends_of_the_slots() {
        assert_eq!(slot_of(0.0).get(), 0);
        assert_eq!(slot_of(1.0_f64.next_down()), Slot::LAST);
        assert_eq!(slot_of(1.0), Slot::LAST);
    }

    #[test]
    fn a_seed_of_zero_is_a_seed() {
        assert_eq!(Prefix::new("k", "s", Some(0)), Prefix::Seed(0));
        let [flag, seed] = [Prefix::new("k", "s", None), Prefix::new("k", "s", Some(0))];
        assert_ne!(bucket(flag, b"user"), bucket(seed, b"user"));
    }
}
