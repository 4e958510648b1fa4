//! From a key to a slot: the default scheme, and those of three flag vendors.
//!
//! A route that takes over a rollout from a vendor's flag keeps that vendor's hash, so a user who
//! gets the flag there gets the variant here. Each vendor's own number becomes a [`Slot`] such
//! that `slot < share` is the vendor's on or off at that share, for the first variant of a route
//! (the one that grows from slot 0). Why that holds is told in each scheme's module. A vendor's
//! second variant begins where its first ends: here it needs that place as its `from`.
//!
//! A key is bytes, as a header's value is: text is hashed as its UTF-8, anything else as it came.
//! Every slot is a pure function of the key and the [`Scheme`], computed without allocating; it
//! must never change, because it is what keeps a caller where it is.
//!
//! An empty key has a slot as any other text has. It must never be drawn with: all callers
//! without a key would move together. Who asks for a slot has made sure that the key is not empty.

pub mod flagd;
pub mod launchdarkly;
mod murmur;
pub mod unleash;

pub use murmur::murmur3_x86_32;

/// Unlike the seed that draws variants (0), so that a hash of callers says nothing of the variant.
const CALLER_SEED: u32 = 0x5e21_0005;

/// Tells callers apart without keeping their keys. Two callers share a hash once in 4 thousand
/// million; who counts them must bear that.
pub fn caller(key: &[u8]) -> u32 {
    murmur3_x86_32(&[key], CALLER_SEED)
}

use super::share::Slot;

/// The default scheme's slot: `murmur3_x86_32(salt ":" key, seed 0) * 1,000,000 >> 32`.
///
/// The salt makes two routes draw independently. The pairs ("a", "b:c") and ("a:b", "c") hash the
/// same text; that does no harm, since a salt is the policy's and not the caller's.
pub fn slot(salt: &str, key: &[u8]) -> Slot {
    Slot::of_hash(murmur3_x86_32(&[salt.as_bytes(), b":", key], 0))
}

/// How a route's keys are hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// The default, [`slot`].
    Serinus {
        /// The route's salt.
        salt: Box<str>,
    },
    /// Unleash's gradual rollout, [`unleash`].
    Unleash {
        /// The strategy's group id; in Unleash the flag's name by default.
        group: Box<str>,
    },
    /// flagd's fractional evaluation, version 2, [`flagd`].
    Flagd {
        /// The flag's key; for a flag that buckets by an expression, the text it puts before the
        /// caller's key.
        flag: Box<str>,
    },
    /// LaunchDarkly's percentage rollout, [`launchdarkly`].
    LaunchDarkly {
        /// The flag's key.
        flag: Box<str>,
        /// The flag's salt.
        salt: Box<str>,
        /// The rollout's seed; where there is one, flag and salt are not used.
        seed: Option<i64>,
    },
}

impl Scheme {
    /// Where `key` falls. The key must not be empty (see the module).
    pub fn slot(&self, key: &[u8]) -> Slot {
        match self {
            Self::Serinus { salt } => slot(salt, key),
            Self::Unleash { group } => unleash::slot(group, key),
            Self::Flagd { flag } => flagd::slot(flag, key),
            Self::LaunchDarkly { flag, salt, seed } => by_launchdarkly(flag, salt, *seed, key),
        }
    }

    /// The smallest step of a share, in parts per million, that this scheme can tell apart: a
    /// share that is no multiple of it acts as the next higher one for the first variant.
    pub const fn share_step(&self) -> u32 {
        match self {
            Self::Unleash { .. } => unleash::SLOTS_PER_VALUE,
            Self::Serinus { .. } | Self::Flagd { .. } | Self::LaunchDarkly { .. } => 1,
        }
    }
}

#[inline(never)]
fn by_launchdarkly(flag: &str, salt: &str, seed: Option<i64>, key: &[u8]) -> Slot {
    launchdarkly::slot(launchdarkly::Prefix::new(flag, salt, seed), key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_that_is_not_text_is_hashed_as_its_bytes() {
        let schemes = [
            Scheme::Serinus { salt: "s".into() },
            Scheme::Unleash { group: "s".into() },
            Scheme::Flagd { flag: "s".into() },
            Scheme::LaunchDarkly {
                flag: "s".into(),
                salt: "t".into(),
                seed: None,
            },
        ];
        let replaced = "user-\u{fffd}".as_bytes();
        for scheme in schemes {
            assert_ne!(scheme.slot(b"user-\xff"), scheme.slot(b"user-\xfe"));
            assert_ne!(scheme.slot(b"user-\xff"), scheme.slot(replaced));
        }
    }

    proptest! {
        #[test]
        fn how_the_text_is_cut_into_parts_does_not_change_its_hash(
            text in prop::collection::vec(any::<u8>(), 0..40),
            cuts in (0_usize..40, 0_usize..40),
            seed in any::<u32>(),
        ) {
            let a = cuts.0.min(text.len());
            let b = cuts.1.clamp(a, text.len());
            let parts = [&text[..a], &text[a..b], &text[b..]];
            prop_assert_eq!(murmur3_x86_32(&parts, seed), murmur3_x86_32(&[&text], seed));
        }
    }
}
