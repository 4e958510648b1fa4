//! Unleash: gradual rollout and variants.
//!
//! A value is `murmur3_x86_32(group ":" id, seed) % normalizer + 1`. A gradual rollout has seed 0
//! and normalizer 100 and is on where `value <= percentage`, in whole percent.
//!
//! The slot is `(value - 1) * 10,000`, and a share of `p` percent is `p * 10,000` parts; so
//! `slot < share` is `value - 1 < p`, that is `value <= p`. With 100 values, a share that is no
//! whole percent acts as the next higher whole one.
//!
//! Yggdrasil, the engine of most Unleash SDKs, hashes UTF-8, and so does this. The npm client
//! (unleash-client 6.12) hashes the low byte of each UTF-16 unit instead, and differs for groups
//! and ids that are not ASCII.

use super::{Slot, murmur3_x86_32};
use core::num::NonZeroU32;

/// The values of a gradual rollout: percent.
pub const PERCENT: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// The seed of a gradual rollout.
pub const ROLLOUT_SEED: u32 = 0;

/// The seed of the choice among a flag's variants, from Unleash's client specification: another
/// one than the rollout's, so that the two choices are independent.
pub const VARIANT_SEED: u32 = 86_028_157;

/// The slots between two values of a gradual rollout.
pub const SLOTS_PER_VALUE: u32 = 10_000;

/// Unleash's normalised value, 1 to `normalizer`.
pub fn value(group: &str, id: &[u8], normalizer: NonZeroU32, seed: u32) -> u32 {
    let hash = murmur3_x86_32(&[group.as_bytes(), b":", id], seed);
    (hash % normalizer).saturating_add(1)
}

/// The slot of a gradual rollout's value: a multiple of [`SLOTS_PER_VALUE`].
#[inline(never)]
pub fn slot(group: &str, id: &[u8]) -> Slot {
    let value = value(group, id, PERCENT, ROLLOUT_SEED);
    Slot::saturating(value.saturating_sub(1).saturating_mul(SLOTS_PER_VALUE))
}

/// The value that chooses among variants whose weights sum to `total`, 1 to `total`: the first
/// variant whose cumulative weight is not below it is taken.
pub fn variant_value(group: &str, id: &[u8], total: NonZeroU32) -> u32 {
    value(group, id, total, VARIANT_SEED)
}

/// The index of the variant that Unleash takes among those of these weights; `None` if they sum to
/// nothing.
pub fn pick(group: &str, id: &[u8], weights: &[u32]) -> Option<usize> {
    let total = weights
        .iter()
        .fold(0, |sum: u32, weight| sum.saturating_add(*weight));
    let value = variant_value(group, id, NonZeroU32::new(total)?);
    let mut cumulative = 0_u32;
    weights.iter().position(|weight| {
        cumulative = cumulative.saturating_add(*weight);
        cumulative >= value
    })
}
