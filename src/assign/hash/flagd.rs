//! flagd: fractional evaluation, version 2 (flagd core 0.15.0 and later).
//!
//! The hash is `murmur3_x86_32(flag key + targeting key, seed 0)`, with nothing in between, or of
//! the `bucketBy` text where the flag has one. The bucket is `hash * total >> 32` for weights that
//! sum to `total`, and the first variant whose cumulative weight is above it is taken.
//!
//! The slot is the bucket of a total of 1,000,000. Let the first of the weights be `w`. With
//! x = hash / 2^32, it is taken where floor(x * total) < w, which is x * total < w since `w` is
//! whole, which is x * 10^6 < w * 10^6 / total. Where `total` divides 10^6 the right side is
//! whole, and it is that variant's share in parts per million; so this is `slot < share`. For
//! another total (3, 7, 99) the share is rounded to a part per million, and callers within that
//! part may differ.
//!
//! Version 1 (core 0.14.3 and earlier) and version 3 (hashes CBOR) draw differently and are not
//! covered.

use super::{Slot, murmur3_x86_32};

/// The greatest sum of weights that flagd takes: that of a 32-bit signed integer.
pub const MAX_TOTAL: u64 = 0x7fff_ffff;

/// The slot of `key` under the flag's key.
#[inline(never)]
pub fn slot(flag: &str, key: &[u8]) -> Slot {
    Slot::of_hash(hash(&[flag.as_bytes(), key]))
}

/// flagd's hash of a flag key and a targeting key, or of a `bucketBy` text alone.
pub fn hash(parts: &[&[u8]]) -> u32 {
    murmur3_x86_32(parts, 0)
}

/// The index of the variant that flagd takes; `None` if the weights sum to nothing or to more
/// than [`MAX_TOTAL`], where flagd gives the flag's default.
pub fn pick(hash: u32, weights: &[u32]) -> Option<usize> {
    let total: u64 = weights
        .iter()
        .fold(0, |sum, &w| u64::saturating_add(sum, w.into()));
    if total > MAX_TOTAL {
        return None;
    }
    let bucket = u64::from(hash).saturating_mul(total) >> 32;
    let mut cumulative = 0_u64;
    weights.iter().position(|&weight| {
        cumulative = cumulative.saturating_add(weight.into());
        cumulative > bucket
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_on_the_border_goes_to_the_next_variant() {
        assert_eq!(pick(0x7fff_ffff, &[1, 1]), Some(0));
        assert_eq!(pick(0x8000_0000, &[1, 1]), Some(1));
        assert_eq!(pick(0, &[0, 1]), Some(1));
        assert_eq!(pick(u32::MAX, &[1, 0]), Some(0));
    }

    #[test]
    fn weights_that_flagd_refuses_choose_nothing() {
        assert_eq!(pick(7, &[]), None);
        assert_eq!(pick(7, &[0, 0]), None);
        assert_eq!(pick(0, &[0x7fff_ffff, 1]), None);
        assert_eq!(pick(0, &[0x7fff_ffff]), Some(0));
    }
}
