//! How much noisier than dice the route is, seen at stable's own hosts.
//!
//! Binomial counts assume that requests fail one by one. Real ones fail in batches and by host, so
//! that evidence that trusts the binomial shuts good canaries. Stable's hosts all run the same
//! version: whatever they differ by beyond dice is noise of this kind. phi is the factor by which
//! their variance exceeds the binomial one (chi-squared over its degrees of freedom), and all
//! evidence is divided by it.
//!
//! Two estimates are made and the larger one counts. The slow one looks at blocks of 1, 10 and 60
//! seconds over an hour or two, and is carried over from the hosts of stable to those of the
//! canary by the ratio of their traffic. The fast one looks at the last ten seconds, so that a
//! burst counts as noise while it lasts.
//!
//! Without groups, or with one host, phi is 1. A route whose every host fails together in bursts
//! shows no spread between hosts: such bursts hit the canary's hosts too and cancel out.

use super::sample::{Sample, half};
use crate::bounds::within;
use crate::gate::input::GROUPS;
use serde::{Deserialize, Serialize};

/// Seconds of a block, and seconds in which its weight decays to 1/e.
const SCALES_S: [(f64, f64); 3] = [(1.0, 3_600.0), (10.0, 3_600.0), (60.0, 7_200.0)];
/// A block counts as much as the events it holds, up to this.
const MAX_WEIGHT: f64 = 50.0;
/// Weight of the belief that there is no over-dispersion.
const PRIOR: f64 = 60.0;
/// Ratios below this are dice.
const DICE: f64 = 1.15;
/// A canary with an eighth of stable's traffic has as much of it as one group of hosts; phi - 1
/// grows with a host's traffic, up to this factor.
const MAX_CARRY: f64 = 4.0;
/// Half-life of the traffic ratio, in seconds.
const TRAFFIC_S: f64 = 120.0;
/// What is left of the fast estimate after a second.
const FAST_LEFT: f64 = 0.9;
/// Prior weight of the fast estimate's ratio of single ticks.
const FAST_PRIOR: f64 = 7.0;
/// What dice reach in the fast estimate's ratio of single ticks and of decayed counts.
const FAST_DICE: [f64; 2] = [0.35, 1.1];
/// phi's upper bound.
const MAX_PHI: f64 = 30.0;

type Hosts = [Sample; GROUPS];

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Scale {
    open: Hosts,
    age_s: f64,
    ratio: Sample,
}

/// One signal's spread between stable's hosts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dispersion {
    scales: [Scale; SCALES_S.len()],
    fast: Sample,
    recent: Hosts,
    /// Sum of the weights of the ticks in `recent`, and of their squares.
    weights: (f64, f64),
    canary_requests: f64,
    stable_requests: f64,
}

impl Dispersion {
    /// Takes in a tick of stable's hosts and both sides' requests.
    pub fn learn(&mut self, hosts: &Hosts, canary: f64, stable: f64, seconds: f64) {
        for (scale, (block_s, memory_s)) in self.scales.iter_mut().zip(SCALES_S) {
            scale.learn(hosts, seconds, block_s, memory_s);
        }
        let left = FAST_LEFT.powf(seconds);
        self.fast.scale(left);
        if let Some(spread) = Spread::of(hosts) {
            self.fast.add(Sample {
                n: spread.freedom,
                k: spread.chi2,
            });
        }
        for (recent, host) in self.recent.iter_mut().zip(hosts) {
            recent.scale(left);
            recent.add(*host);
        }
        let (sum, squares) = self.weights;
        self.weights = (sum * left + 1.0, squares * left * left + 1.0);
        let left = half(seconds, TRAFFIC_S);
        self.canary_requests = self.canary_requests * left + canary;
        self.stable_requests = self.stable_requests * left + stable;
    }

    /// The factor by which evidence is too sure of itself, at least 1. `least_carry` is the
    /// smallest factor by which the hosts' spread is carried over to the canary.
    #[must_use]
    pub fn phi(&self, least_carry: f64) -> f64 {
        within(self.slow(least_carry).max(self.fast()), 1.0, MAX_PHI)
    }

    fn slow(&self, least_carry: f64) -> f64 {
        let ratio = self
            .scales
            .iter()
            .map(|scale| (PRIOR + scale.ratio.k) / (PRIOR + scale.ratio.n))
            .fold(1.0, f64::max);
        if ratio <= DICE {
            return 1.0;
        }
        let traffic = if self.stable_requests > 0.0 {
            GROUPS as f64 * self.canary_requests / self.stable_requests
        } else {
            MAX_CARRY
        };
        1.0 + (ratio - 1.0) * within(traffic, least_carry, MAX_CARRY)
    }

    fn fast(&self) -> f64 {
        let [single_dice, decayed_dice] = FAST_DICE;
        let single = (FAST_PRIOR + self.fast.k) / (FAST_PRIOR + self.fast.n) - single_dice;
        // Counts that decay vary less than whole ones: by the squares of their weights.
        let (sum, squares) = self.weights;
        let decayed = Spread::of(&self.recent).map_or(1.0, |spread| {
            spread.chi2 * sum / (squares * spread.freedom) - decayed_dice
        });
        single.max(decayed)
    }
}

impl Scale {
    fn learn(&mut self, hosts: &Hosts, seconds: f64, block_s: f64, memory_s: f64) {
        for (open, host) in self.open.iter_mut().zip(hosts) {
            open.add(*host);
        }
        self.age_s += seconds;
        if self.age_s < block_s {
            return;
        }
        self.ratio.scale((-self.age_s / memory_s).exp());
        if let Some(spread) = Spread::of(&self.open) {
            let weight = spread.events.min(MAX_WEIGHT);
            self.ratio.add(Sample {
                n: weight,
                k: weight * spread.chi2 / spread.freedom,
            });
        }
        self.open = Hosts::default();
        self.age_s = 0.0;
    }
}

/// Pearson's chi-squared of the hosts' rates against their common rate.
struct Spread {
    chi2: f64,
    freedom: f64,
    events: f64,
}

impl Spread {
    /// Nothing where the hosts cannot differ: fewer than two, no event, or nothing but events.
    fn of(hosts: &Hosts) -> Option<Spread> {
        let mut all = Sample::default();
        let mut active = 0.0;
        for host in hosts.iter().filter(|host| host.n > 0.0) {
            all.add(*host);
            active += 1.0;
        }
        let rate = all.rate();
        if active < 2.0 || rate <= 0.0 || rate >= 1.0 {
            return None;
        }
        let chi2 = hosts
            .iter()
            .filter(|host| host.n > 0.0)
            .map(|host| (host.k - host.n * rate).powi(2) / (host.n * rate * (1.0 - rate)))
            .sum();
        Some(Spread {
            chi2,
            freedom: active - 1.0,
            events: all.k,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phi(seconds: u32, hosts: impl Fn(u32) -> Hosts) -> f64 {
        let mut noise = Dispersion::default();
        for second in 0..seconds {
            noise.learn(&hosts(second), 125.0, 1_000.0, 1.0);
        }
        noise.phi(1.0)
    }

    fn hosts(k: [f64; GROUPS]) -> Hosts {
        k.map(|k| Sample { n: 125.0, k })
    }

    #[test]
    fn hosts_that_agree_are_dice_at_most() {
        assert_eq!(phi(600, |_| hosts([1.0; GROUPS])), 1.0);
    }

    #[test]
    fn a_host_that_fails_in_its_turn_is_noise() {
        let turns = |second: u32| {
            let mut k = [0.0; GROUPS];
            k[second as usize % GROUPS] = 8.0;
            hosts(k)
        };
        // All errors of a second at one of eight hosts: chi-squared is eight times their number
        // over seven degrees of freedom, about 8.
        let phi = phi(1_200, turns);
        assert!((6.0..12.0).contains(&phi), "{phi}");
    }

    #[test]
    fn a_burst_counts_while_it_lasts() {
        let burst = |second: u32| {
            let one = if second >= 300 { 20.0 } else { 1.0 };
            hosts([one, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
        };
        let (before, within) = (phi(300, burst), phi(303, burst));
        assert!(within > before + 5.0, "{before} {within}");
    }

    #[test]
    fn it_is_never_below_one_nor_above_thirty() {
        assert_eq!(phi(60, |_| Hosts::default()), 1.0);
        let mut k = [0.0; GROUPS];
        k[0] = 125.0;
        assert_eq!(phi(600, |_| hosts(k)), MAX_PHI);
    }
}
