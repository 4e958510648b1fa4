//! One caller's requests are not a drop of conversions.
//!
//! Conversions are compared by requests, since nothing is remembered of callers, and requests of one
//! caller are not independent: a crawler that asks a thousand times and buys nothing would look like a
//! thousand callers who do not buy. So callers fall into eight cohorts by their key's hash, on both
//! sides, and one that asked for more than one and a half times what the middle one did, in the last half hour or so,
//! weighs no more than that, its conversions neither. The spread of stable's cohorts tells how much
//! noisier than dice conversions are, callers' habits among the causes
//! ([`dispersion`](super::dispersion)).
//!
//! Limits: crawlers in half of the cohorts are taken for the callers; one of them is left with at most
//! a sixteenth of what all others ask. With callers in one cohort alone nothing is held back.

use super::sample::{Sample, half};
use crate::gate::input::{COHORTS, Cohort};
use serde::{Deserialize, Serialize};

/// Half-life of what a cohort is known to have asked, in seconds.
const MEMORY_S: f64 = 1_800.0;
/// How many times the middle cohort's requests a cohort may have.
const OVER_MIDDLE: f64 = 1.5;
/// A cohort with less than this left of its requests is empty.
const ACTIVE: f64 = 0.01;

/// What each cohort of one side asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked([Sample; COHORTS]);

impl Asked {
    /// Takes in a tick.
    pub fn learn(&mut self, cohorts: &[Cohort; COHORTS], seconds: f64) {
        let left = half(seconds, MEMORY_S);
        for (asked, cohort) in self.0.iter_mut().zip(cohorts) {
            asked.scale(left);
            asked.add(Sample::of(cohort.exposures, cohort.conversions));
        }
    }

    /// The exposures and conversions of the tick as they count.
    #[must_use]
    pub fn admit(&self, cohorts: &[Cohort; COHORTS]) -> [Sample; COHORTS] {
        let most = OVER_MIDDLE * self.middle();
        let mut admitted = [Sample::default(); COHORTS];
        for ((sample, cohort), asked) in admitted.iter_mut().zip(cohorts).zip(&self.0) {
            *sample = Sample::of(cohort.exposures, cohort.conversions);
            if asked.n > most {
                sample.scale(most / asked.n);
            }
        }
        admitted
    }

    /// What the middle one of the cohorts with requests asked, the upper of two.
    fn middle(&self) -> f64 {
        let mut middle = f64::INFINITY;
        for candidate in &self.0 {
            // How many have more than it, and how many no more; eight need no sorting.
            let (mut above, mut within) = (0, 0);
            for other in &self.0 {
                if other.n > candidate.n {
                    above += 1;
                } else if other.n >= ACTIVE {
                    within += 1;
                }
            }
            if candidate.n >= ACTIVE && within > above {
                middle = candidate.n.min(middle);
            }
        }
        middle
    }
}

/// All of them.
pub fn sum(admitted: &[Sample]) -> Sample {
    let mut sum = Sample::default();
    admitted.iter().for_each(|sample| sum.add(*sample));
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(asked: &mut Asked, cohorts: &[Cohort; COHORTS]) -> Sample {
        asked.learn(cohorts, 1.0);
        sum(&asked.admit(cohorts))
    }

    fn each(exposures: u64, conversions: u64) -> [Cohort; COHORTS] {
        [Cohort {
            exposures,
            conversions,
        }; COHORTS]
    }

    #[test]
    fn callers_alike_all_count() {
        let mut asked = Asked::default();
        for _ in 0..100 {
            let admitted = admit(&mut asked, &each(10, 1));
            assert_eq!((admitted.n, admitted.k), (80.0, 8.0));
        }
    }

    #[test]
    fn a_crawler_weighs_no_more_than_a_sixteenth_of_the_others() {
        let mut asked = Asked::default();
        let mut all = Sample::default();
        for _ in 0..600 {
            let mut cohorts = each(10, 1);
            cohorts[3].exposures += 5_000;
            all.add(admit(&mut asked, &cohorts));
        }
        let alone = 600.0 * 80.0;
        assert!(all.n <= alone * (1.0 + 1.0 / 16.0) + 1.0, "{all:?}");
        assert!((all.rate() - 0.1).abs() < 0.02, "{all:?}");
    }

    #[test]
    fn one_cohort_alone_is_all_there_is() {
        let mut cohorts = [Cohort::default(); COHORTS];
        cohorts[5] = Cohort {
            exposures: 100,
            conversions: 7,
        };
        let admitted = admit(&mut Asked::default(), &cohorts);
        assert_eq!((admitted.n, admitted.k), (100.0, 7.0));
    }
}
