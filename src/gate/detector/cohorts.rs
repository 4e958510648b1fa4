//! One caller's requests are not a drop of conversions.
//!
//! Conversions are compared by requests, since nothing is remembered of callers, and requests of one
//! caller are not independent: a crawler that asks a thousand times and buys nothing would look like a
//! thousand callers who do not buy. So callers fall into eight cohorts by their key's hash, and on each
//! side one cohort is left out: of the canary's, that which asked most in the last seconds, where a
//! crawler is; of stable's, that which converted most in the last half hour, where a robot is that buys.
//! Among callers alike it is any one, and costs an eighth of the evidence. The spread of stable's
//! cohorts tells how much noisier than dice conversions are ([`dispersion`](super::dispersion)).
//!
//! Limits: of two such callers in two cohorts, one counts. A crawler at stable, and a robot that buys
//! at the canary, hide a drop. With callers in one cohort alone nothing is left out.

use super::sample::{Sample, half};
use crate::gate::input::{COHORTS, Cohort};
use serde::{Deserialize, Serialize};

/// Half-lives of what a cohort asked and converted, in seconds. A storm is one of the moment, and
/// exposures are many; conversions are few, and the most of few would be chance.
const CROWD_S: f64 = 20.0;
const BUYERS_S: f64 = 1_800.0;
/// Less than this left of a count is nothing.
const LEAST: f64 = 0.01;

/// What each cohort of both sides did of late.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cohorts {
    stable: [Sample; COHORTS],
    canary: [Sample; COHORTS],
}

impl Cohorts {
    /// Takes in a tick of stable's, and gives what counts of it.
    pub fn stable(&mut self, cohorts: &[Cohort; COHORTS], seconds: f64) -> [Sample; COHORTS] {
        learn(&mut self.stable, cohorts, half(seconds, BUYERS_S));
        self.of_stable(cohorts)
    }

    /// What counts of the tick of stable's that was taken in last.
    pub fn of_stable(&self, cohorts: &[Cohort; COHORTS]) -> [Sample; COHORTS] {
        without(largest(&self.stable, |sample| sample.k), cohorts)
    }

    /// Takes in a tick of the canary's, and gives what counts of it.
    pub fn canary(&mut self, cohorts: &[Cohort; COHORTS], seconds: f64) -> [Sample; COHORTS] {
        learn(&mut self.canary, cohorts, half(seconds, CROWD_S));
        without(largest(&self.canary, |sample| sample.n), cohorts)
    }

    /// Forgets the canary's.
    pub fn forget_canary(&mut self) {
        self.canary = Default::default();
    }
}

fn learn(memory: &mut [Sample; COHORTS], cohorts: &[Cohort; COHORTS], left: f64) {
    for (past, cohort) in memory.iter_mut().zip(cohorts) {
        past.scale(left);
        past.add(Sample::of(cohort.exposures, cohort.conversions));
    }
}

/// The place of the cohort that has most of it, if another one has some.
fn largest(memory: &[Sample; COHORTS], of: fn(&Sample) -> f64) -> Option<usize> {
    let (mut most, mut place, mut sum) = (0.0, None, 0.0);
    for (index, sample) in memory.iter().enumerate() {
        let here = of(sample);
        sum += here;
        if here > most {
            (most, place) = (here, Some(index));
        }
    }
    place.filter(|_| sum - most >= LEAST)
}

fn without(place: Option<usize>, cohorts: &[Cohort; COHORTS]) -> [Sample; COHORTS] {
    let mut counted = [Sample::default(); COHORTS];
    for (index, (sample, cohort)) in counted.iter_mut().zip(cohorts).enumerate() {
        if Some(index) != place {
            *sample = Sample::of(cohort.exposures, cohort.conversions);
        }
    }
    counted
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

    fn each(exposures: u64, conversions: u64) -> [Cohort; COHORTS] {
        [Cohort {
            exposures,
            conversions,
        }; COHORTS]
    }

    #[test]
    fn of_callers_alike_seven_eighths_count() {
        let mut cohorts = Cohorts::default();
        for _ in 0..100 {
            for counted in [
                sum(&cohorts.stable(&each(10, 1), 1.0)),
                sum(&cohorts.canary(&each(10, 1), 1.0)),
            ] {
                assert_eq!((counted.n, counted.k), (70.0, 7.0));
            }
        }
    }

    #[test]
    fn a_crawler_of_the_canary_does_not_count_from_its_first_storm_on() {
        let mut cohorts = Cohorts::default();
        for t in 0..600 {
            let mut tick = each(10, 1);
            tick[3].exposures += if t < 300 { 0 } else { 5_000 };
            let counted = sum(&cohorts.canary(&tick, 1.0));
            assert_eq!(counted.rate(), 0.1, "{t}");
        }
    }

    #[test]
    fn a_robot_that_buys_of_stable_does_not_count_for_long() {
        let mut cohorts = Cohorts::default();
        let mut counted = Sample::default();
        for t in 0..600 {
            let mut tick = each(100, 2);
            tick[3].exposures += 10;
            tick[3].conversions += 10;
            tick[5].conversions += u64::from(t < 5);
            counted = sum(&cohorts.stable(&tick, 1.0));
        }
        assert_eq!(counted.rate(), 0.02);
    }

    #[test]
    fn one_cohort_alone_is_all_there_is() {
        let mut tick = [Cohort::default(); COHORTS];
        tick[5] = Cohort {
            exposures: 100,
            conversions: 7,
        };
        let mut cohorts = Cohorts::default();
        for counted in [cohorts.stable(&tick, 1.0), cohorts.canary(&tick, 1.0)] {
            let counted = sum(&counted);
            assert_eq!((counted.n, counted.k), (100.0, 7.0));
        }
    }
}
