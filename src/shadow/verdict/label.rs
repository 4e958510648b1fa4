//! Label evidence: do differences fall on raw pairs more often than the coin would have it?
//!
//! A sampled request becomes a raw pair (stable, candidate) with the known probability rho and a
//! noise pair (stable, stable) otherwise, by a coin that does not see the answers. If the candidate
//! is as good as stable, a pair's labels are exchangeable, so that *given* what was found in it the
//! pair is raw with probability rho still. Against that stand alternatives (p, q): noise pairs show
//! the difference with probability p, raw pairs with q > p; under one of them, a pair with the
//! difference is raw with probability t1 and one without it with t0. The likelihood ratio of all
//! labels is a test martingale, and so is the mean over a grid of alternatives, which is what makes
//! it valid however often it is looked at (Ville 1939; Shafer et al. 2011). Because the labels are
//! tested given the content, bursts, drift and dependence between requests do no harm; the rate of
//! noise need not be known.
//!
//! The closed form needs only four counts. Terms are kept as logarithms: after a few thousand pairs
//! they leave the range of a double.

/// The noise rates p of the grid: from one in 2,000 to nearly always.
const NOISE: [f64; 8] = [0.0005, 0.002, 0.008, 0.03, 0.1, 0.3, 0.6, 0.9];

/// By how much a regression multiplies the odds of a difference: from half as much again to nearly
/// always. Both lists are those of the study that the rule comes from.
const ODDS: [f64; 7] = [1.5, 2.0, 3.0, 6.0, 20.0, 200.0, 5000.0];

/// The log-likelihood ratio that one pair adds under one alternative.
#[derive(Debug, Clone, Copy)]
struct Alternative {
    raw_with: f64,
    noise_with: f64,
    raw_without: f64,
    noise_without: f64,
}

/// How many pairs there were of each sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) raw: u64,
    pub(super) noise: u64,
    /// Of the raw pairs, those with the difference.
    pub(super) raw_with: u64,
    /// Of the noise pairs, those with the difference.
    pub(super) noise_with: u64,
}

/// The grid for one probability of the coin.
#[derive(Debug, Clone)]
pub(super) struct Grid(Vec<Alternative>);

impl Grid {
    /// The grid for the probability `rho` that a pair is raw. Where there is no coin (0 or 1, or
    /// nonsense) labels say nothing, and the grid is empty.
    pub(super) fn new(rho: f64) -> Self {
        if !(rho > 0.0 && rho < 1.0) {
            return Self(Vec::new());
        }
        let raw_given = |q: f64, p: f64| rho * q / (rho * q + (1.0 - rho) * p);
        let alternative = |p: f64, odds: f64| {
            let q = odds * p / (1.0 - p + odds * p);
            let with = raw_given(q, p);
            let without = raw_given(1.0 - q, 1.0 - p);
            Alternative {
                raw_with: (with / rho).ln(),
                noise_with: ((1.0 - with) / (1.0 - rho)).ln(),
                raw_without: (without / rho).ln(),
                noise_without: ((1.0 - without) / (1.0 - rho)).ln(),
            }
        };
        let all = NOISE
            .iter()
            .flat_map(|&p| ODDS.iter().map(move |&odds| alternative(p, odds)));
        Self(all.collect())
    }

    /// The logarithm of the evidence: 0 says nothing, and above it speaks for a regression.
    pub(super) fn log_evidence(&self, counts: Counts) -> f64 {
        if self.0.is_empty() {
            return 0.0;
        }
        let without = |all: u64, with: u64| all.saturating_sub(with) as f64;
        let raw_without = without(counts.raw, counts.raw_with);
        let noise_without = without(counts.noise, counts.noise_with);
        let term = |of: &Alternative| {
            counts.raw_with as f64 * of.raw_with
                + counts.noise_with as f64 * of.noise_with
                + raw_without * of.raw_without
                + noise_without * of.noise_without
        };
        log_mean(self.0.iter().map(|of| (1.0, term(of))))
    }
}

/// The logarithm of the weighted mean of numbers given by weight and logarithm.
pub(super) fn log_mean(terms: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let most = terms
        .clone()
        .map(|(_, log)| log)
        .fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return most;
    }
    let total: f64 = terms.clone().map(|(weight, _)| weight).sum();
    let sum: f64 = terms.map(|(weight, log)| weight * (log - most).exp()).sum();
    most + (sum / total).ln()
}

#[cfg(test)]
mod tests {
    use super::{Counts, Grid};

    fn evidence(rho: f64, raw: (u64, u64), noise: (u64, u64)) -> f64 {
        let counts = Counts {
            raw: raw.1,
            noise: noise.1,
            raw_with: raw.0,
            noise_with: noise.0,
        };
        Grid::new(rho).log_evidence(counts)
    }

    #[test]
    fn nothing_seen_says_nothing() {
        assert!(evidence(0.5, (0, 0), (0, 0)).abs() < 1e-9);
        assert_eq!(evidence(1.0, (50, 100), (0, 0)), 0.0);
        assert_eq!(evidence(f64::NAN, (50, 100), (0, 0)), 0.0);
    }

    #[test]
    fn its_mean_under_the_coin_is_one() {
        // Ten pairs of which six show the difference: whatever the labels, the coin draws each with
        // its own probability, and the evidence must average to 1 over them.
        for rho in [0.1, 0.5, 0.95] {
            let choose =
                |n: u64, k: u64| (0..k).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64);
            let coin = |n: u64, k: u64| {
                choose(n, k) * f64::powi(rho, k as i32) * f64::powi(1.0 - rho, (n - k) as i32)
            };
            let mut mean = 0.0;
            for with in 0..=6 {
                for without in 0..=4 {
                    let log =
                        evidence(rho, (with, with + without), (6 - with, 10 - with - without));
                    mean += coin(6, with) * coin(4, without) * log.exp();
                }
            }
            assert!((mean - 1.0).abs() < 1e-9, "{mean}");
        }
    }

    #[test]
    fn twenty_events_on_a_quiet_path_are_plain_at_even_odds() {
        // Path of rank 1 fails past ln(1 / (0.01 / 8)) = 6.7 or so.
        assert!(evidence(0.5, (20, 200), (0, 200)) > 7.0);
        assert!(evidence(0.5, (20, 200), (20, 200)) < 0.0);
        assert!(evidence(0.5, (0, 200), (20, 200)) < 0.0);
    }

    #[test]
    fn millions_of_pairs_stay_in_range() {
        let million = 1_000_000_000;
        assert!(evidence(0.5, (million, million), (0, million)) > 1e8);
        assert!(evidence(0.5, (0, million), (million, million)).is_finite());
    }
}
