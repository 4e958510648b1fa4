//! Made-up traffic of one route: Poisson requests (more than that if asked), errors that come by
//! host and in batches, a canary that may turn bad. The same seed makes the same traffic.
#![allow(
    dead_code,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Binomial, Distribution, Gamma, Geometric, Poisson};
use serinus::gate::input::{BUCKETS, GROUPS, KEY_SLOTS};
use serinus::gate::{At, Canary, Counts, Group, KeySlot, Ppm, Stable, Tick};

/// Parts of requests by latency bucket of the default bounds, from above 10 ms on: the rest is
/// faster.
pub type Latency = [f64; 9];

/// A body around 40 ms and a tail of 2 %.
pub const USUAL: Latency = [
    0.202, 0.421, 0.2887, 0.0702, 0.00614, 0.00136, 0.00018, 2e-6, 0.0,
];
/// The tail is twice as slow.
pub const TAIL_DOUBLED: Latency = [
    0.202, 0.4165, 0.2887, 0.0667, 0.00898, 0.00476, 0.00135, 4e-5, 0.0,
];
/// The body is a fifth slower.
pub const BODY_SLOWER: Latency = [
    0.1316, 0.3875, 0.3539, 0.1117, 0.00789, 0.00225, 0.00025, 2e-5, 0.0,
];
/// The first of these buckets; slow is what is above 250 ms, slow90 above 100 ms.
const FIRST_BUCKET: usize = 4;
const SLOW_BUCKET: usize = 8;
const SLOW90_BUCKET: usize = 7;

/// Rates of one kind of event: stable's, and the canary's once it is bad.
#[derive(Clone, Copy)]
pub struct Rates {
    pub errors: f64,
    pub latency: Latency,
    pub diffs: f64,
    pub conversions: f64,
}

/// Good traffic.
pub const GOOD: Rates = Rates {
    errors: 0.002,
    latency: USUAL,
    diffs: 0.005,
    conversions: 0.03,
};

/// What a run is like.
#[derive(Clone, Copy)]
pub struct Scene {
    /// Requests a second, both sides together.
    pub rps: f64,
    pub share: f64,
    pub tick_s: f64,
    pub ticks: u64,
    /// The first tick on which the canary is `bad`.
    pub onset: u64,
    pub stable: Rates,
    pub bad: Rates,
    /// Standard deviation of the hosts' error factors, drawn anew every ten ticks.
    pub hosts_differ: f64,
    /// Errors come in batches of this mean from one caller.
    pub batch: f64,
    /// Traffic varies by a gamma factor of this shape; infinite: not at all.
    pub bursty: f64,
    /// Once in a while both sides fail a lot for some seconds: how often an hour.
    pub shared_bursts_per_h: f64,
    /// Whether shadow pairs are compared.
    pub shadow: bool,
    /// From the onset on one caller adds this many failing requests a second to the canary.
    pub storm_rps: f64,
    /// From the onset on both sides fail this much more.
    pub outage: f64,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            rps: 1_000.0,
            share: 0.05,
            tick_s: 1.0,
            ticks: 1_200,
            onset: 300,
            stable: GOOD,
            bad: GOOD,
            hosts_differ: 0.0,
            batch: 1.0,
            bursty: 20.0,
            shared_bursts_per_h: 0.0,
            shadow: false,
            storm_rps: 0.0,
            outage: 0.0,
        }
    }
}

/// A run under way.
pub struct Traffic {
    scene: Scene,
    random: SmallRng,
    t: u64,
    hosts: [f64; GROUPS + 1],
    burst_left: f64,
}

impl Traffic {
    pub fn new(scene: Scene, seed: u64) -> Self {
        Self {
            scene,
            random: SmallRng::seed_from_u64(seed),
            t: 0,
            hosts: [1.0; GROUPS + 1],
            burst_left: 0.0,
        }
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        if mean <= 0.0 {
            return 0;
        }
        Poisson::new(mean).unwrap().sample(&mut self.random) as u64
    }

    fn of(&mut self, n: u64, rate: f64) -> u64 {
        if n == 0 || rate <= 0.0 {
            return 0;
        }
        Binomial::new(n, rate.min(1.0))
            .unwrap()
            .sample(&mut self.random)
    }

    /// Latencies of `n` requests by bucket.
    fn latencies(&mut self, n: u64, parts: &Latency) -> [u64; BUCKETS] {
        let mut buckets = [0; BUCKETS];
        let (mut left, mut rest) = (n, 1.0);
        // From the slow end, where most buckets stay empty.
        for (index, part) in parts.iter().enumerate().rev() {
            let count = self.of(left, part / rest);
            buckets[FIRST_BUCKET + index] = count;
            left -= count;
            rest -= part;
        }
        buckets[FIRST_BUCKET - 1] = left;
        buckets
    }

    /// The errors of `n` callers as batches: who errs tries again, which adds requests.
    fn batches(&mut self, n: u64, rate: f64) -> Vec<u64> {
        let batch = self.scene.batch;
        let count = self.of(n, rate / batch);
        let again = Geometric::new(1.0 / batch).unwrap();
        (0..count)
            .map(|_| 1 + again.sample(&mut self.random))
            .collect()
    }

    fn draw_hosts(&mut self) {
        let spread = self.scene.hosts_differ;
        if spread > 0.0 && self.t.is_multiple_of(10) {
            let shape = 1.0 / (spread * spread);
            let gamma = Gamma::new(shape, 1.0 / shape).unwrap();
            for host in &mut self.hosts {
                *host = gamma.sample(&mut self.random);
            }
        }
    }

    /// What both sides fail more at this tick.
    fn shared(&mut self) -> f64 {
        let Scene {
            tick_s,
            outage,
            onset,
            shared_bursts_per_h,
            ..
        } = self.scene;
        if self.poisson(shared_bursts_per_h * tick_s / 3_600.0) > 0 {
            self.burst_left = 5.0;
        }
        self.burst_left -= tick_s;
        let burst = if self.burst_left > 0.0 { 0.2 } else { 0.0 };
        burst + if self.t >= onset { outage } else { 0.0 }
    }

    fn stable(&mut self, busy: f64, shared: f64) -> Stable {
        let Scene {
            rps,
            share,
            tick_s,
            stable: rates,
            shadow,
            ..
        } = self.scene;
        let mut groups = [Group::default(); GROUPS];
        let mut counts = Counts::default();
        for (host, group) in groups.iter_mut().enumerate() {
            let callers = self.poisson(busy * rps * (1.0 - share) * tick_s / GROUPS as f64);
            let rate = (rates.errors * self.hosts[host] + shared).min(1.0);
            let batches = self.batches(callers, rate);
            let errors = batches.iter().sum();
            let n = callers + errors - batches.len() as u64;
            let latency = self.latencies(n, &rates.latency);
            *group = Group {
                requests: n,
                errors,
                slow: latency[SLOW_BUCKET..].iter().sum(),
                slow90: latency[SLOW90_BUCKET..].iter().sum(),
                conversions: self.of(n, rates.conversions),
            };
            for (sum, count) in counts.latency.iter_mut().zip(latency) {
                *sum += count;
            }
            counts.requests += n;
            counts.errors += group.errors;
            counts.slow += group.slow;
            counts.slow90 += group.slow90;
            counts.conversions += group.conversions;
        }
        if shadow {
            counts.shadowed = self.poisson(rps * share * tick_s);
            counts.diffs = self.of(counts.shadowed, rates.diffs);
        }
        Stable { counts, groups }
    }

    fn canary(&mut self, busy: f64, shared: f64) -> Canary {
        let Scene {
            rps,
            share,
            tick_s,
            onset,
            shadow,
            storm_rps,
            ..
        } = self.scene;
        let is_bad = self.t >= onset;
        let rates = if is_bad {
            self.scene.bad
        } else {
            self.scene.stable
        };
        let mut n = self.poisson(busy * rps * share * tick_s);
        let mut slots = [KeySlot::default(); KEY_SLOTS];
        for _ in 0..n {
            slots[self.random.random_range(0..KEY_SLOTS)].requests += 1;
        }
        let mut errors = 0;
        let rate = (rates.errors * self.hosts[GROUPS] + shared).min(1.0);
        for size in self.batches(n, rate) {
            let slot = &mut slots[self.random.random_range(0..KEY_SLOTS)];
            slot.requests += size - 1;
            slot.errors += size;
            n += size - 1;
            errors += size;
        }
        let latency = self.latencies(n, &rates.latency);
        let conversions = self.of(n, rates.conversions);
        let storm = if is_bad {
            self.poisson(storm_rps * tick_s)
        } else {
            0
        };
        slots[7].requests += storm;
        slots[7].errors += storm;
        let shadowed = if shadow {
            self.poisson(rps * share * tick_s)
        } else {
            0
        };
        let counts = Counts {
            requests: n + storm,
            errors: errors + storm,
            slow: latency[SLOW_BUCKET..].iter().sum(),
            slow90: latency[SLOW90_BUCKET..].iter().sum(),
            conversions,
            cohorts: None,
            latency,
            shadowed,
            diffs: self.of(shadowed, rates.diffs),
        };
        Canary { counts, slots }
    }
}

impl Iterator for Traffic {
    type Item = Tick;

    fn next(&mut self) -> Option<Tick> {
        if self.t >= self.scene.ticks {
            return None;
        }
        self.draw_hosts();
        let shared = self.shared();
        let busy = if self.scene.bursty.is_finite() {
            let shape = self.scene.bursty;
            Gamma::new(shape, 1.0 / shape)
                .unwrap()
                .sample(&mut self.random)
        } else {
            1.0
        };
        let stable = self.stable(busy, shared);
        let canary = self.canary(busy, shared);
        self.t += 1;
        Some(Tick {
            at: At((self.t as f64 * self.scene.tick_s * 1_000.0) as u64),
            share: Ppm::from_fraction(self.scene.share),
            stable_share: Ppm::from_fraction(1.0 - self.scene.share),
            stable: Some(stable),
            canary: Some(canary),
            shadow: None,
        })
    }
}
