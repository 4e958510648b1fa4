//! Latencies: a histogram of fixed size whose percentiles are within 2 %.
//!
//! Log-linear, as HDR histograms are: each octave from 64 µs to 134 s (2^6 to 2^27 µs) is cut into
//! 32 buckets of one width. A value in `[a, b]` is told as `2ab / (a + b)`, which is off by the same
//! part at both ends: at most 1 in 65, 1.54 %. Below the range a latency is told as 64 µs, above it
//! as 134 s; both are counted, and only their size is lost.
//!
//! Own code: the hdrhistogram crate cuts octaves after whole decimal digits, so it offers 6 % (one
//! digit) or 0.8 % (two). The latter takes 128 buckets an octave, four times the memory and bytes
//! of these, which are kept for every side, worker and minute; and its own bytes come with two more
//! crates. What is needed of it is two short functions.
//!
//! A histogram is a run of counters ([`BUCKETS`] of them) inside whoever keeps it, so that adding
//! and writing go through the run as a whole. [`bucket`] says where a latency belongs, and
//! [`Latencies`] reads a run.

use super::clock::Micros;

/// The least latency that is told apart, 2^6 µs.
pub const LEAST: Micros = Micros(1 << LEAST_BITS);
/// The latency from which on all are one, 2^27 µs.
pub const MOST: Micros = Micros(1 << MOST_BITS);
/// Octaves in the range, their buckets, and one bucket at either end.
pub const BUCKETS: usize = (MOST_BITS - LEAST_BITS) as usize * (1 << PARTS_BITS) + 2;

const LEAST_BITS: u32 = 6;
const MOST_BITS: u32 = 27;
const PARTS_BITS: u32 = 5;

/// The bucket of a latency.
pub fn bucket(took: Micros) -> usize {
    if took < LEAST {
        return 0;
    }
    if took >= MOST {
        return BUCKETS.saturating_sub(1);
    }
    let octave = took.0.ilog2();
    // The octave's number, then the highest bits below the leading one.
    let above = took.0 & !(u64::MAX << octave);
    let part = above >> octave.saturating_sub(PARTS_BITS);
    let octaves = u64::from(octave.saturating_sub(LEAST_BITS));
    let inner = (octaves << PARTS_BITS) | part;
    usize::try_from(inner).unwrap_or(BUCKETS).saturating_add(1)
}

/// The latency that a bucket is told as.
pub fn value(bucket: usize) -> Micros {
    let (low, high) = (lower(bucket), lower(bucket.saturating_add(1)));
    if bucket == 0 || bucket >= BUCKETS.saturating_sub(1) {
        return high.clamp(LEAST, MOST);
    }
    // Both below 2^28, so their product fits.
    let high = high.0.saturating_sub(1);
    let (sum, product) = (low.0.wrapping_add(high), low.0.wrapping_mul(high));
    let twice = product.wrapping_mul(2).wrapping_add(sum / 2);
    let value = twice.checked_div(sum);
    Micros(value.unwrap_or(low.0).clamp(low.0, high))
}

/// The least latency of a bucket.
fn lower(bucket: usize) -> Micros {
    let Some(inner) = bucket.checked_sub(1).filter(|inner| *inner < BUCKETS - 2) else {
        return if bucket == 0 { Micros(0) } else { MOST };
    };
    let inner = inner as u64;
    let octave = (inner >> PARTS_BITS).saturating_add(u64::from(LEAST_BITS)) as u32;
    let part = inner & !(u64::MAX << PARTS_BITS);
    let whole = (1 << PARTS_BITS) | part;
    Micros(whole.wrapping_shl(octave.saturating_sub(PARTS_BITS)))
}

/// A run of [`BUCKETS`] counters, read.
#[derive(Debug, Clone, Copy)]
pub struct Latencies<'c>(pub &'c [u64]);

impl Latencies<'_> {
    /// How many there are.
    pub fn total(self) -> u64 {
        self.0
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The latency that the part `q` (0 to 1) of all do not exceed, by nearest rank; nothing of
    /// nothing.
    pub fn quantile(self, q: f64) -> Option<Micros> {
        let total = self.total();
        // Below 2^53 exact; a float's `as` saturates.
        let rank = ((q * total as f64).ceil() as u64).clamp(1, total.max(1));
        let mut below: u64 = 0;
        let found = self.0.iter().position(|count| {
            below = below.saturating_add(*count);
            below >= rank
        });
        found.map(value)
    }

    /// P50, P95 and P99.
    pub fn percentiles(self) -> Option<Percentiles> {
        Some(Percentiles {
            p50: self.quantile(0.50)?,
            p95: self.quantile(0.95)?,
            p99: self.quantile(0.99)?,
        })
    }
}

/// The percentiles that people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentiles {
    /// The median.
    pub p50: Micros,
    /// 19 of 20 are not slower.
    pub p95: Micros,
    /// 99 of 100 are not slower.
    pub p99: Micros,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A generator that gives the same numbers everywhere (xorshift64*).
    struct Dice(u64);

    impl Dice {
        fn part(&mut self) -> f64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
        }

        fn normal(&mut self) -> f64 {
            let (a, b) = (self.part().max(1e-12), self.part());
            (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
        }
    }

    fn off(told: u64, exact: u64) -> f64 {
        (told as f64 - exact as f64).abs() / exact as f64
    }

    #[test]
    fn percentiles_are_within_two_percent_of_the_exact_ones() {
        type Draw = fn(&mut Dice) -> f64;
        let shapes: [(&str, Draw); 5] = [
            ("lognormal", |dice| 20_000.0 * (0.8 * dice.normal()).exp()),
            ("exponential", |dice| {
                -80_000.0 * dice.part().max(1e-9).ln() + 70.0
            }),
            ("uniform", |dice| 100.0 + 5_000.0 * dice.part()),
            ("pareto", |dice| 1_000.0 / dice.part().max(1e-4).powf(0.9)),
            ("two humps", |dice| {
                if dice.part() < 0.9 {
                    500.0 + 20.0 * dice.normal()
                } else {
                    2_000_000.0 + 90_000.0 * dice.normal()
                }
            }),
        ];
        for (name, draw) in shapes {
            let mut dice = Dice(42);
            let mut all: Vec<u64> = (0..50_000).map(|_| draw(&mut dice) as u64).collect();
            let mut run = vec![0; BUCKETS];
            all.iter().for_each(|took| run[bucket(Micros(*took))] += 1);
            all.sort_unstable();
            for q in [0.01, 0.5, 0.9, 0.95, 0.985, 0.99, 0.999, 1.0] {
                let exact = all[((q * all.len() as f64).ceil() as usize).max(1) - 1];
                let told = Latencies(&run).quantile(q).unwrap().0;
                assert!(
                    off(told, exact) <= 0.02,
                    "{name} at {q}: {told} for {exact}"
                );
            }
        }
    }

    #[test]
    fn each_bucket_begins_where_the_one_before_ends() {
        for index in 0..BUCKETS - 1 {
            let first = lower(index + 1);
            assert_eq!(bucket(first), index + 1, "first of {}", index + 1);
            assert_eq!(bucket(Micros(first.0 - 1)), index, "last of {index}");
        }
        assert_eq!(lower(BUCKETS), MOST);
    }

    #[test]
    fn what_is_outside_the_range_is_told_as_its_ends() {
        for (took, told) in [(0, LEAST), (63, LEAST), (1 << 27, MOST), (u64::MAX, MOST)] {
            assert_eq!(value(bucket(Micros(took))), told, "{took}");
        }
        assert_eq!(Latencies(&[0; BUCKETS]).quantile(0.5), None);
        assert_eq!(Latencies(&[]).percentiles(), None);
    }

    proptest! {
        #[test]
        fn a_latency_inside_the_range_is_told_within_two_percent(took in LEAST.0..MOST.0) {
            let told = value(bucket(Micros(took))).0;
            prop_assert!(off(told, took) <= 0.016, "{took} as {told}");
            prop_assert_eq!(bucket(Micros(told)), bucket(Micros(took)));
        }

        #[test]
        fn longer_never_falls_below_shorter(a: u64, b: u64) {
            prop_assert!(bucket(Micros(a.min(b))) <= bucket(Micros(a.max(b))));
        }
    }
}
