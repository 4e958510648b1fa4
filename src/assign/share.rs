//! Which slots each variant of a route owns.
//!
//! A key falls on one of 1,000,000 slots ([`crate::assign::hash`]); a variant owns one run of them
//! and stable the rest. The first variant grows from slot 0 upward, the second from the top
//! downward, a third and later from its `from` upward; a `from` on the first or second replaces
//! its default place.
//!
//! Each run has one end that never moves, so raising a share moves nobody out of the variant and
//! lowering it moves nobody in. The two ends of the line are the places where two variants can
//! grow the longest without meeting; a third has no such place and must be told one. Changing a
//! `from`, or the order of the variants, does move callers.
//!
//! Two runs may not overlap, and none may pass the end of the slots: both are refused when the
//! layout is made. A share that changes with time (a ramp) is laid out at its greatest value, and
//! [`Shares::owner_now`] is told the smaller one of the moment, so a step can meet nobody later.

use crate::text::percent;
use core::fmt;

/// How many slots there are: as many as the parts of a [`Share`].
pub const SLOTS: u32 = 1_000_000;

/// Where a key falls: 0 to 999,999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u32);

impl Slot {
    /// The last slot, 999,999.
    pub const LAST: Self = Self(SLOTS - 1);

    /// `None` from 1,000,000 up.
    pub const fn new(slot: u32) -> Option<Self> {
        if slot < SLOTS { Some(Self(slot)) } else { None }
    }

    /// `slot`, or the last one where it would lie past the end.
    pub const fn saturating(slot: u32) -> Self {
        if slot < SLOTS { Self(slot) } else { Self::LAST }
    }

    /// The slot of a 32-bit hash that is uniform: `hash * 1,000,000 >> 32`.
    ///
    /// Multiplying and keeping the upper half spreads the 2^32 hashes over the slots so that no
    /// two slots differ by more than one hash, and orders slots as the hashes are ordered; a
    /// remainder would cost a division and give neither.
    pub const fn of_hash(hash: u32) -> Self {
        // Below 2^32 * 10^6, so the product fits 64 bits and its upper half is below 10^6.
        Self(((hash as u64).wrapping_mul(SLOTS as u64) >> 32) as u32)
    }

    /// The slot's number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// How much of the slots a variant owns, in parts per million: 0 to 1,000,000.
///
/// Shown in percent, exactly: `1%`, `0.01%`, `33.3333%`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

impl Share {
    /// No slot.
    pub const NONE: Self = Self(0);
    /// Every slot.
    pub const ALL: Self = Self(SLOTS);

    /// `None` above 1,000,000 parts.
    pub const fn from_ppm(parts: u32) -> Option<Self> {
        if parts <= SLOTS {
            Some(Self(parts))
        } else {
            None
        }
    }

    /// Parts per million.
    pub const fn ppm(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&percent(self.0))
    }
}

/// A run of slots: `start` belongs to it, `end` (at most 1,000,000) does not.
///
/// Shown in percent of all slots: `0% to 1%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotRange {
    start: u32,
    end: u32,
}

impl SlotRange {
    /// The first slot of the run, or where it would begin if it is empty.
    pub const fn start(self) -> u32 {
        self.start
    }

    /// The first slot after the run.
    pub const fn end(self) -> u32 {
        self.end
    }

    /// Whether `slot` is in the run.
    pub const fn contains(self, slot: Slot) -> bool {
        self.start <= slot.0 && slot.0 < self.end
    }

    /// Whether the runs have a slot in common; an empty run has none with any other.
    fn overlaps(self, other: Self) -> bool {
        self.start.max(other.start) < self.end.min(other.end)
    }
}

impl fmt::Display for SlotRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&percent(self.start))?;
        f.write_str(" to ")?;
        f.write_str(&percent(self.end))
    }
}

/// What one variant asks for, in the order of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The share; of a ramp, its greatest step.
    pub share: Share,
    /// The first slot, where the variant is not to have its default place.
    pub from: Option<Slot>,
}

/// Why claims cannot be laid out. Variants are given by their index, 0 first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// A third or later variant without `from`: it has no default place.
    NoFrom {
        /// The variant.
        variant: usize,
    },
    /// `from` and the share together lie past the last slot.
    PastEnd {
        /// The variant.
        variant: usize,
        /// Its `from`.
        from: Slot,
        /// Its share.
        share: Share,
    },
    /// Two variants own the same slots.
    Overlap {
        /// The variant that comes first in the policy, and its slots.
        earlier: (usize, SlotRange),
        /// The other, and its slots.
        later: (usize, SlotRange),
    },
}

impl fmt::Display for LayoutError {
    /// Counts variants as people do, from 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nth = |variant: usize| variant.saturating_add(1);
        match *self {
            Self::NoFrom { variant } => write!(
                f,
                "variant {} has no `from`: only the first two have a place of their own; \
                 write where its share begins, such as \"40%\"",
                nth(variant)
            ),
            Self::PastEnd {
                variant,
                from,
                share,
            } => write!(
                f,
                "variant {} would pass 100%: a share of {share} from {}; \
                 write at most {} as its share, or a lower `from`",
                nth(variant),
                Share(from.0),
                Share(SLOTS.saturating_sub(from.0)),
            ),
            Self::Overlap { earlier, later } => write!(
                f,
                "variants {} ({}) and {} ({}) overlap; lower a share or move a `from`",
                nth(earlier.0),
                earlier.1,
                nth(later.0),
                later.1,
            ),
        }
    }
}

impl core::error::Error for LayoutError {}

/// The end of a variant's run that never moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Anchor {
    /// The run begins here and grows upward.
    Start(u32),
    /// The run ends at the last slot and grows downward.
    Top,
}

impl Anchor {
    fn of(variant: usize, from: Option<Slot>) -> Option<Self> {
        match (from, variant) {
            (Some(from), _) => Some(Self::Start(from.0)),
            (None, 0) => Some(Self::Start(0)),
            (None, 1) => Some(Self::Top),
            (None, _) => None,
        }
    }

    fn range(self, share: Share) -> SlotRange {
        match self {
            Self::Start(start) => SlotRange {
                start,
                end: start.saturating_add(share.0),
            },
            Self::Top => SlotRange {
                start: SLOTS.saturating_sub(share.0),
                end: SLOTS,
            },
        }
    }
}

/// The layout of a route's variants over the slots; no two overlap.
///
/// A route has few variants, so a look-up walks them all: linear in their number, no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    places: Vec<(Anchor, Share)>,
}

impl Shares {
    /// Gives each claim its slots, in the order of the policy.
    ///
    /// # Errors
    /// Every claim that has no place or passes the end, and every two that overlap.
    pub fn lay_out(claims: &[Claim]) -> Result<Self, Vec<LayoutError>> {
        let mut places = Vec::with_capacity(claims.len());
        let mut placed: Vec<(usize, SlotRange)> = Vec::with_capacity(claims.len());
        let mut errors = Vec::new();
        for (variant, &Claim { share, from }) in claims.iter().enumerate() {
            let Some(anchor) = Anchor::of(variant, from) else {
                errors.push(LayoutError::NoFrom { variant });
                continue;
            };
            let range = anchor.range(share);
            if let (Some(from), true) = (from, range.end > SLOTS) {
                errors.push(LayoutError::PastEnd {
                    variant,
                    from,
                    share,
                });
            }
            let later = (variant, range);
            let met = placed.iter().filter(|earlier| earlier.1.overlaps(range));
            errors.extend(met.map(|&earlier| LayoutError::Overlap { earlier, later }));
            placed.push(later);
            places.push((anchor, share));
        }
        if errors.is_empty() {
            Ok(Self { places })
        } else {
            Err(errors)
        }
    }

    /// The variant (by index) that owns `slot`; `None` is stable.
    pub fn owner(&self, slot: Slot) -> Option<usize> {
        self.owner_now(slot, |_| Share::ALL)
    }

    /// As [`Shares::owner`], with each variant at the share that `now` gives for its index, but
    /// at most the one it was laid out with.
    pub fn owner_now(&self, slot: Slot, now: impl Fn(usize) -> Share) -> Option<usize> {
        let owns = |(variant, &(anchor, most)): (usize, &(Anchor, Share))| {
            anchor.range(most.min(now(variant))).contains(slot)
        };
        self.places.iter().enumerate().position(owns)
    }

    /// Whether `slot` is among the first slots of `variant`, up to `share` of all, though that be
    /// more than the variant was laid out with.
    pub fn is_first(&self, slot: Slot, variant: usize, share: Share) -> bool {
        let place = self.places.get(variant);
        place.is_some_and(|(anchor, _)| anchor.range(share).contains(slot))
    }

    /// The slots that `variant` was laid out with; `None` if there is no such variant.
    pub fn range(&self, variant: usize) -> Option<SlotRange> {
        let &(anchor, share) = self.places.get(variant)?;
        Some(anchor.range(share))
    }

    /// The share of stable: what no variant owns.
    pub fn rest(&self) -> Share {
        self.rest_now(|_| Share::ALL)
    }

    /// As [`Shares::rest`], at the shares of the moment as in [`Shares::owner_now`].
    pub fn rest_now(&self, now: impl Fn(usize) -> Share) -> Share {
        let parts = |(variant, &(_, most)): (usize, &(Anchor, Share))| most.min(now(variant)).0;
        let rest = self.places.iter().enumerate().map(parts);
        Share(rest.fold(SLOTS, u32::saturating_sub))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn share(ppm: u32) -> Share {
        Share::from_ppm(ppm).unwrap()
    }

    fn slot(slot: u32) -> Slot {
        Slot::new(slot).unwrap()
    }

    fn claim(ppm: u32) -> Claim {
        Claim {
            share: share(ppm),
            from: None,
        }
    }

    fn claim_from(ppm: u32, from: u32) -> Claim {
        Claim {
            share: share(ppm),
            from: Some(slot(from)),
        }
    }

    fn claims() -> [Claim; 3] {
        [claim(10_000), claim(200_000), claim_from(50_000, 400_000)]
    }

    #[test]
    fn a_share_is_shown_in_percent_without_rounding() {
        let table = [
            (0, "0%"),
            (1, "0.0001%"),
            (100, "0.01%"),
            (10_000, "1%"),
            (12_500, "1.25%"),
            (10_010, "1.001%"),
            (333_333, "33.3333%"),
            (999_999, "99.9999%"),
            (1_000_000, "100%"),
        ];
        for (ppm, text) in table {
            assert_eq!(share(ppm).to_string(), text);
        }
    }

    #[test]
    fn values_out_of_range_are_refused() {
        assert_eq!(Slot::new(999_999), Some(Slot::LAST));
        assert_eq!(Slot::new(1_000_000), None);
        assert_eq!(Share::from_ppm(1_000_000), Some(Share::ALL));
        assert_eq!(Share::from_ppm(1_000_001), None);
    }

    #[test]
    fn hashes_spread_over_all_slots_in_order() {
        assert_eq!(Slot::of_hash(0).get(), 0);
        assert_eq!(Slot::of_hash(4_294).get(), 0);
        assert_eq!(Slot::of_hash(4_295).get(), 1);
        assert_eq!(Slot::of_hash(1 << 31).get(), 500_000);
        assert_eq!(Slot::of_hash(u32::MAX), Slot::LAST);
    }

    #[test]
    fn the_first_grows_from_zero_the_second_from_the_top_the_third_from_its_from() {
        let shares = Shares::lay_out(&claims()).unwrap();
        let table = [
            (0, Some(0)),
            (9_999, Some(0)),
            (10_000, None),
            (399_999, None),
            (400_000, Some(2)),
            (449_999, Some(2)),
            (450_000, None),
            (799_999, None),
            (800_000, Some(1)),
            (999_999, Some(1)),
        ];
        for (at, owner) in table {
            assert_eq!(shares.owner(slot(at)), owner, "slot {at}");
        }
        assert_eq!(shares.rest(), share(740_000));
        assert_eq!(shares.range(1).unwrap().to_string(), "80% to 100%");
        assert_eq!(shares.range(3), None);
    }

    #[test]
    fn from_replaces_the_place_of_the_first_and_the_second() {
        let shares = Shares::lay_out(&[claim_from(10, 500), claim_from(10, 0)]).unwrap();
        assert_eq!(shares.owner(slot(0)), Some(1));
        assert_eq!(shares.owner(slot(10)), None);
        assert_eq!(shares.owner(slot(509)), Some(0));
        assert_eq!(shares.owner(Slot::LAST), None);
    }

    #[test]
    fn without_variants_or_with_empty_shares_everything_is_stables() {
        for claims in [&[][..], &[claim(0), claim(0), claim_from(0, 0)]] {
            let shares = Shares::lay_out(claims).unwrap();
            assert_eq!(shares.owner(slot(0)), None);
            assert_eq!(shares.owner(Slot::LAST), None);
            assert_eq!(shares.rest(), Share::ALL);
        }
    }

    #[test]
    fn two_variants_may_fill_all_slots_but_not_share_one() {
        let shares = Shares::lay_out(&[claim(400_000), claim(600_000)]).unwrap();
        assert_eq!(shares.rest(), Share::NONE);
        let errors = Shares::lay_out(&[claim(400_001), claim(600_000)]).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "variants 1 (0% to 40.0001%) and 2 (40% to 100%) overlap; \
             lower a share or move a `from`"
        );
        assert_eq!(errors.len(), 1);
    }

    #[test]
    fn every_wrong_claim_is_told_at_once() {
        let wrong = [
            claim(500_000),
            claim(600_000),
            claim(1),
            claim_from(2, 999_999),
        ];
        let errors = Shares::lay_out(&wrong).unwrap_err();
        let range = |start, end| SlotRange { start, end };
        assert_eq!(
            errors,
            [
                LayoutError::Overlap {
                    earlier: (0, range(0, 500_000)),
                    later: (1, range(400_000, 1_000_000)),
                },
                LayoutError::NoFrom { variant: 2 },
                LayoutError::PastEnd {
                    variant: 3,
                    from: Slot::LAST,
                    share: share(2),
                },
                LayoutError::Overlap {
                    earlier: (1, range(400_000, 1_000_000)),
                    later: (3, range(999_999, 1_000_001)),
                },
            ]
        );
        assert!(errors[1].to_string().contains("variant 3 has no `from`"));
        assert!(errors[2].to_string().contains("write at most 0.0001%"));
    }

    #[test]
    fn a_share_of_the_moment_is_capped_by_the_one_laid_out() {
        let shares = Shares::lay_out(&claims()).unwrap();
        let now = |variant| share(if variant == 1 { 100 } else { 1_000_000 });
        assert_eq!(shares.owner_now(slot(999_900), now), Some(1));
        assert_eq!(shares.owner_now(slot(999_899), now), None);
        assert_eq!(shares.owner_now(slot(10_000), now), None);
        assert_eq!(shares.rest_now(now), share(939_900));
    }

    fn any_ppm() -> impl Strategy<Value = u32> {
        prop_oneof![0..=SLOTS, Just(0), Just(1), Just(SLOTS - 1), Just(SLOTS)]
    }

    proptest! {
        #[test]
        fn raising_a_share_moves_nobody_out(
            (low, high) in (any_ppm(), any_ppm()).prop_map(|(a, b)| (a.min(b), a.max(b))),
            from in 0..SLOTS,
            at in 0..SLOTS,
        ) {
            let places = |ppm: u32| [
                vec![claim(ppm)],
                vec![claim(0), claim(ppm)],
                vec![claim_from(ppm.min(SLOTS - from), from)],
                vec![claim(0), claim_from(ppm.min(SLOTS - from), from)],
                vec![claim(0), claim(0), claim_from(ppm.min(SLOTS - from), from)],
            ];
            for (few, many) in places(low).iter().zip(&places(high)) {
                let variant = few.len() - 1;
                // The slots at the edges of the smaller run, and any other.
                let few = Shares::lay_out(few).unwrap();
                let many = Shares::lay_out(many).unwrap();
                let run = few.range(variant).unwrap();
                for at in [at, run.start(), run.end().saturating_sub(1)] {
                    let Some(at) = Slot::new(at) else { continue };
                    prop_assert!(few.owner(at) != Some(variant) || many.owner(at) == Some(variant));
                }
            }
        }

        #[test]
        fn accepted_layouts_give_each_slot_one_owner_and_account_for_all(
            parts in prop::collection::vec((any_ppm(), prop::option::of(0..SLOTS)), 0..5),
            at in 0..SLOTS,
        ) {
            let claims: Vec<Claim> = parts
                .into_iter()
                .map(|(ppm, from)| Claim { share: share(ppm / 4), from: from.map(slot) })
                .collect();
            let Ok(shares) = Shares::lay_out(&claims) else { return Ok(()) };
            let owns = |&variant: &usize| shares.range(variant).unwrap().contains(slot(at));
            let owners: Vec<usize> = (0..claims.len()).filter(owns).collect();
            prop_assert!(owners.len() <= 1);
            prop_assert_eq!(owners.first().copied(), shares.owner(slot(at)));
            let sum: u32 = claims.iter().map(|claim| claim.share.ppm()).sum();
            prop_assert_eq!(shares.rest().ppm() + sum, SLOTS);
        }
    }
}
