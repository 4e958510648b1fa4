//! Whether a variant gets the share that it was to get.
//!
//! A policy that does not do what it says is the commonest mistake: a rule that takes half of the
//! callers, a key that is the same for all, a salt that two routes share. Only draws are looked at:
//! requests whose key decided (reasons `share` and `rest`), each with the share at its moment, so
//! that ramps need no care. What rules and earlier hops decide is not meant to follow the share.
//!
//! The gap can be chance as long as `N KL(seen, asked) / phi` is below `DOUBT`: by Chernoff's
//! bound a share of `asked` gives `N` draws as far off as this with a probability of at most
//! `e^-(N KL)` to that side. The bound holds for few draws too, where a normal approximation would
//! cry wolf. `phi` is needed because draws are not independent: a caller always falls on the same
//! side, so a thousand requests of one caller are one draw. If callers draw `m` times each, the
//! variance of what falls on a side is `E[m^2] / E[m]` times the binomial one. Just as much does the
//! number of draws vary over the 64 key slots, which callers fall into by another hash; so phi is
//! taken from there (chi-squared of the slots' draws over its degrees of freedom), whatever the
//! draws came to. One caller with most of the traffic makes it large, and nothing is said against
//! the policy.
//!
//! Draws fade with a half-life of ten minutes, so a gap that was mended is soon forgotten.
//!
//! The sample ratio of an experiment asks for less: one variant with 1 % too few of the callers is
//! reason not to believe what is concluded of them. [`is_mismatch`] looks at all sides together, over
//! hours, and at any time: a test at 0.1 % that is repeated each second would cry wolf within the
//! day. So it is Robbins' mixture of likelihood ratios, in its form for counts (Lindon and Malek,
//! "Anytime-valid inference for multinomial count data", 2022), in the normal approximation:
//! `n/(n + K) n KL(seen, asked) - d/2 ln(1 + n/K)`, with `n` draws after their division by phi, `d`
//! one less than the sides that were asked for, and `K` draws' worth of belief in the shares. It
//! exceeds `ln 1000` ever with a probability of at most one in a thousand, however often it is looked
//! at. That phi is estimated, and that draws fade, makes this an approximation.

use super::bytes::{Reader, Writer};
use super::callers::KEY_SLOTS;
use super::counters::Counters;
use crate::bounds::within;

/// A false alarm has a probability of `2 e^-14`, 2 in a million, at any one moment, and moments a
/// few minutes apart are about independent: once in some years for a route.
const DOUBT: f64 = 14.0;
/// Seconds.
pub const HALF_LIFE: f64 = 600.0;
/// The same of an experiment's draws: a mismatch that was mended is forgotten within days, and by a
/// thousandth of the draws is told from chance until then.
pub const SAMPLE_HALF_LIFE: f64 = 21_600.0;
/// ln of the odds against equal samples that are a mismatch: 1,000 to 1.
const MISMATCH: f64 = 6.9;
/// K: few, so that a gross mismatch is seen after a hundred draws; it costs a fine one little.
const BELIEF: f64 = 100.0;

/// The draws of a route with those that fell on one side, fading.
#[derive(Debug, Clone)]
pub struct ShareCheck {
    asked: f64,
    seen: f64,
    /// Draws of all sides by key slot.
    slots: [f64; KEY_SLOTS],
}

/// What was asked and what was seen, as parts of one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// The mean of the shares asked at each draw.
    pub asked: f64,
    /// The part of the draws that fell on this side.
    pub seen: f64,
    /// How many draws that rests on, fading.
    pub draws: f64,
    /// Whether the gap can be chance.
    pub chance: bool,
}

impl Default for ShareCheck {
    fn default() -> Self {
        Self {
            asked: 0.0,
            seen: 0.0,
            slots: [0.0; KEY_SLOTS],
        }
    }
}

impl ShareCheck {
    /// Takes in what came to `side` and to all `sides` in these seconds.
    pub fn learn<'c>(
        &mut self,
        side: &Counters,
        sides: impl IntoIterator<Item = &'c Counters>,
        seconds: f64,
        half_life: f64,
    ) {
        let left = (-seconds.max(0.0) / half_life).exp2();
        self.asked = self.asked * left + side.asked() as f64 / 1e6;
        let drawn = side.drawn().iter();
        self.seen = self.seen * left + drawn.map(|count| *count as f64).sum::<f64>();
        self.slots.iter_mut().for_each(|slot| *slot *= left);
        for side in sides {
            for (slot, drawn) in self.slots.iter_mut().zip(side.drawn()) {
                *slot += *drawn as f64;
            }
        }
    }

    /// The share seen beside the one asked; nothing before the first draw.
    pub fn seen(&self) -> Option<Seen> {
        let draws: f64 = self.slots.iter().sum();
        if draws < 1.0 {
            return None;
        }
        let part = |of: f64| within(of / draws, 0.0, 1.0);
        let (asked, seen) = (part(self.asked), part(self.seen));
        let evidence = draws * divergence(seen, asked) / self.spread(draws);
        Some(Seen {
            asked,
            seen,
            draws,
            chance: evidence < DOUBT,
        })
    }

    /// Writes it.
    pub fn write(&self, to: &mut Writer) {
        let numbers = [self.asked, self.seen].into_iter().chain(self.slots);
        numbers.for_each(|number| to.raw(&number.to_le_bytes()));
    }

    /// Reads it; nothing if a number can't be a count.
    pub fn read(from: &mut Reader<'_>) -> Option<Self> {
        let mut number = || {
            let number = f64::from_le_bytes(*from.raw(8)?.first_chunk()?);
            (number.is_finite() && number >= 0.0).then_some(number)
        };
        let mut read = Self {
            asked: number()?,
            seen: number()?,
            ..Self::default()
        };
        for slot in &mut read.slots {
            *slot = number()?;
        }
        Some(read)
    }

    /// phi, at least 1.
    fn spread(&self, draws: f64) -> f64 {
        let expected = draws / KEY_SLOTS as f64;
        let squares = self.slots.iter().map(|slot| (slot - expected).powi(2));
        let freedom = (KEY_SLOTS - 1) as f64;
        (squares.sum::<f64>() / expected / freedom).max(1.0)
    }
}

/// Whether the sides of a route, whose draws these are, got other parts of them than they were to get
/// by more than chance.
pub fn is_mismatch(sides: &[ShareCheck]) -> bool {
    let Some(first) = sides.first() else {
        return false;
    };
    let draws: f64 = first.slots.iter().sum();
    if draws < 1.0 {
        return false;
    }
    let (mut gap, mut freedom) = (0.0, -1.0);
    for side in sides {
        if side.seen > 0.0 {
            gap += side.seen / draws * (side.seen / side.asked).ln();
        }
        if side.asked > 0.0 {
            freedom += 1.0;
        }
    }
    let draws = draws / first.spread(draws);
    let odds = draws * draws / (draws + BELIEF) * gap;
    odds - 0.5 * freedom * (draws / BELIEF).ln_1p() >= MISMATCH
}

/// Kullback and Leibler's divergence of two coins, in nats; infinite where `asked` rules out what
/// was seen.
fn divergence(seen: f64, asked: f64) -> f64 {
    let term = |seen: f64, asked: f64| {
        if seen <= 0.0 {
            0.0
        } else {
            seen * (seen / asked).ln()
        }
    };
    (term(seen, asked) + term(1.0 - seen, 1.0 - asked)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assign::hash::slot;
    use crate::assign::share::Share;
    use crate::health::callers::Caller;

    /// `callers` draw `times` each at `asked`; those whose slot is below `given` get the variant.
    fn drawn(callers: u32, times: u32, asked: u32, given: u32, salt: &str) -> [Counters; 2] {
        let mut sides = [Counters::default(), Counters::default()];
        for caller in 0..callers {
            let key = format!("user-{caller}");
            let canary = slot(salt, key.as_bytes()).get() < given;
            let caller = Caller::of(key.as_bytes());
            for _ in 0..times {
                let share = |ppm| Share::from_ppm(ppm).unwrap();
                sides[0].draw(caller, share(1_000_000 - asked), !canary);
                sides[1].draw(caller, share(asked), canary);
            }
        }
        sides
    }

    fn check(sides: &[Counters; 2]) -> Seen {
        let mut check = ShareCheck::default();
        check.learn(&sides[1], sides, 1.0, HALF_LIFE);
        check.seen().unwrap()
    }

    #[test]
    fn an_honest_policy_is_never_doubted() {
        for trial in 0..300 {
            let salt = format!("salt-{trial}");
            for (callers, times, share) in [
                (1, 5_000, 10_000),
                (40, 100, 50_000),
                (2_000, 3, 10_000),
                (500, 1, 500_000),
            ] {
                let seen = check(&drawn(callers, times, share, share, &salt));
                assert!(seen.chance, "{seen:?} of {callers} callers, {salt}");
            }
        }
    }

    #[test]
    fn a_few_callers_with_most_of_the_traffic_are_no_reason_to_doubt() {
        for trial in 0..200 {
            let salt = format!("salt-{trial}");
            let mut sides = [Counters::default(), Counters::default()];
            for caller in 1..400 {
                let key = format!("user-{caller}");
                let canary = slot(&salt, key.as_bytes()).get() < 100_000;
                for _ in 0..2_000 / caller {
                    let caller = Caller::of(key.as_bytes());
                    sides[0].draw(caller, Share::from_ppm(900_000).unwrap(), !canary);
                    sides[1].draw(caller, Share::from_ppm(100_000).unwrap(), canary);
                }
            }
            assert!(check(&sides).chance, "{salt}");
        }
    }

    #[test]
    fn a_policy_that_gives_other_shares_is_found_out() {
        for (asked, given) in [
            (50_000, 0),
            (50_000, 100_000),
            (10_000, 100_000),
            (500_000, 400_000),
        ] {
            let seen = check(&drawn(3_000, 2, asked, given, "s"));
            assert!(!seen.chance, "{asked} asked, {given} given: {seen:?}");
        }
    }

    #[test]
    fn one_key_for_everybody_proves_nothing() {
        let mut sides = [Counters::default(), Counters::default()];
        for _ in 0..100_000 {
            sides[1].draw(Caller(7), Share::from_ppm(10_000).unwrap(), true);
        }
        assert!(check(&sides).chance);
    }

    #[test]
    fn a_side_that_may_have_nothing_and_gets_some_is_found_out() {
        let seen = check(&drawn(100, 1, 0, 500_000, "s"));
        assert!(!seen.chance && seen.asked == 0.0);
        let nothing = check(&drawn(100, 1, 0, 0, "s"));
        assert!(nothing.chance && nothing.seen == 0.0);
    }

    /// Callers drawn one after the other, by Zipf's law where nothing is `lost`: the first ask for most.
    /// Whether it ever was a mismatch.
    fn is_ever_mismatch(trial: u64, callers: u64, shares: &[u32], lost: f64) -> bool {
        let mut random = fastrand::Rng::with_seed(trial);
        let sides = shares.len() + 1;
        let mut checks = vec![ShareCheck::default(); sides];
        let stable = 1_000_000 - shares.iter().sum::<u32>();
        let asked: Vec<u32> = std::iter::once(stable)
            .chain(shares.iter().copied())
            .collect();
        for _ in 0..400 {
            let mut came = vec![Counters::default(); sides];
            for _ in 0..40 {
                let caller = match lost > 0.0 {
                    true => random.u64(0..callers),
                    false => (callers as f64).powf(random.f64()) as u64,
                };
                let key = format!("{trial}-{caller}");
                let mut slot = slot("s", key.as_bytes()).get();
                let side = asked.iter().position(|share| {
                    let inside = slot < *share;
                    slot = slot.saturating_sub(*share);
                    inside
                });
                let side = side.unwrap();
                // What is lost is lost of the last side.
                if side + 1 == sides && random.f64() < lost {
                    continue;
                }
                let caller = Caller::of(key.as_bytes());
                for (place, counters) in came.iter_mut().enumerate() {
                    let share = Share::from_ppm(asked[place]).unwrap();
                    counters.draw(caller, share, place == side);
                }
            }
            for (check, side) in checks.iter_mut().zip(&came) {
                check.learn(side, &came, 1.0, SAMPLE_HALF_LIFE);
            }
            if is_mismatch(&checks) {
                return true;
            }
        }
        false
    }

    #[test]
    fn an_honest_experiment_is_no_mismatch_however_often_it_is_looked_at() {
        for (callers, shares) in [
            (20_000, &[500_000][..]),
            (20_000, &[10_000]),
            (300, &[500_000]),
            (20_000, &[250_000, 250_000, 250_000]),
        ] {
            let found = (0..100).filter(|trial| is_ever_mismatch(*trial, callers, shares, 0.0));
            let found = found.count();
            assert!(found <= 1, "{found} of 100, {callers} callers, {shares:?}");
        }
    }

    #[test]
    fn a_variant_that_loses_some_of_its_exposures_is_a_mismatch() {
        for (shares, lost) in [
            (&[500_000][..], 1.0),
            (&[500_000], 0.2),
            (&[250_000, 250_000, 250_000], 0.25),
        ] {
            let found = (0..20).filter(|trial| is_ever_mismatch(*trial, 5_000, shares, lost));
            let found = found.count();
            assert!(found >= 19, "{found} of 20, {shares:?} with {lost} lost");
        }
    }

    #[test]
    fn without_draws_nothing_is_said_and_old_ones_fade() {
        let mut check = ShareCheck::default();
        assert_eq!(check.seen(), None);
        let sides = drawn(100, 1, 500_000, 500_000, "s");
        check.learn(&sides[1], &sides, 1.0, HALF_LIFE);
        let none = Counters::default();
        check.learn(&none, [&none], 600.0, HALF_LIFE);
        assert!((check.seen().unwrap().draws - 50.0).abs() < 1.0);
        check.learn(&none, [&none], 1e9, HALF_LIFE);
        assert_eq!(check.seen(), None);
    }
}
