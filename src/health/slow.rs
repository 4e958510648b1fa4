//! What is slow, learned from stable: the latency that 1.5 % of its requests exceed.
//!
//! The bound makes a request `slow`, and tells a caller who gave up on a hung version from one who
//! left. It is a percentile of stable's latencies with a half-life of half an hour, so that an
//! outage of both sides does not redefine slow, and it stays where it is until the part that
//! exceeds it is off by a factor of two: a bound that moved with every tick would mix requests
//! counted by different measures. Before there are 500 requests there is no bound and nothing is
//! slow. Aims and memory are those of the gate, which learns thresholds of its own.

use super::bytes::{Reader, Writer};
use super::clock::Micros;
use super::latency::{BUCKETS, Latencies, value};
use super::totals::LONGEST_NAME;
use crate::assign::hash::murmur3_x86_32;

/// The part of stable's requests that is slow.
const AIM: f64 = 0.015;
/// Slow requests that a bound must rest on: 7.5 of 500.
const LEAST_BEYOND: f64 = 7.5;
/// The bound stays while its part is within this factor of the aim.
const TOLERATED: f64 = 2.0;
/// Seconds.
const HALF_LIFE: f64 = 1_800.0;
/// A policy has at most 500 routes.
const MOST_ROUTES: usize = 512;
const MAGIC: &[u8; 4] = b"SRB1";

/// Learns the bound of one route.
#[derive(Debug, Clone)]
pub struct SlowBound {
    latencies: Box<[f64]>,
    bound: Option<Micros>,
}

impl SlowBound {
    /// Begins with a bound that was known before, if any.
    pub fn new(known: Option<Micros>) -> Self {
        Self {
            latencies: vec![0.0; BUCKETS].into_boxed_slice(),
            bound: known,
        }
    }

    /// The bound; requests that take longer are slow.
    pub fn bound(&self) -> Option<Micros> {
        self.bound
    }

    /// Takes in what came to stable in these seconds.
    pub fn learn(&mut self, stable: Latencies<'_>, seconds: f64) {
        let left = (-seconds.max(0.0) / HALF_LIFE).exp2();
        for (sum, count) in self.latencies.iter_mut().zip(stable.0) {
            *sum = *sum * left + *count as f64;
        }
        let total: f64 = self.latencies.iter().sum();
        if total * AIM < LEAST_BEYOND {
            return;
        }
        let beyond = self.bound.map(|bound| self.beyond(bound) / total / AIM);
        let stays = |off: f64| (TOLERATED.recip()..=TOLERATED).contains(&off);
        if !beyond.is_some_and(stays) {
            self.bound = Some(self.choose(total));
        }
    }

    fn beyond(&self, bound: Micros) -> f64 {
        let slow = self.latencies.iter().enumerate();
        let slow = slow.filter(|(index, _)| value(*index) > bound);
        slow.map(|(_, count)| count).sum()
    }

    /// The least latency that at most the aimed part exceeds.
    fn choose(&self, total: f64) -> Micros {
        let mut beyond = total;
        let place = self.latencies.iter().position(|count| {
            beyond -= count;
            beyond <= total * AIM
        });
        value(place.unwrap_or(BUCKETS))
    }
}

/// The key of all routes' bounds; `name` is the policy's. One worker learns and writes them, all
/// read them once a tick.
pub fn key(name: &str) -> String {
    format!("{name}.health.slow")
}

/// All routes' bounds as bytes.
pub fn write<'r>(bounds: impl IntoIterator<Item = (&'r str, Micros)>) -> Vec<u8> {
    let mut body = Writer::default();
    for (route, bound) in bounds.into_iter().take(MOST_ROUTES) {
        body.text(route.as_bytes());
        body.number(bound.0);
    }
    let body = body.done();
    let mut value = Writer::default();
    value.raw(MAGIC);
    value.raw(&murmur3_x86_32(&[&body], 0).to_le_bytes());
    value.raw(&body);
    value.done()
}

/// Reads what [`write()`] wrote; anything else holds no bound.
pub fn read(bytes: &[u8]) -> Vec<(&str, Micros)> {
    read_all(bytes).unwrap_or_default()
}

fn read_all(bytes: &[u8]) -> Option<Vec<(&str, Micros)>> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, body) = rest.split_first_chunk::<4>()?;
    if magic != MAGIC || murmur3_x86_32(&[body], 0) != u32::from_le_bytes(*sum) {
        return None;
    }
    let mut reader = Reader(body);
    let mut bounds = Vec::new();
    while !reader.is_empty() && bounds.len() < MOST_ROUTES {
        let route = std::str::from_utf8(reader.text(LONGEST_NAME)?).ok()?;
        bounds.push((route, Micros(reader.number()?)));
    }
    Some(bounds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::latency::bucket;
    use proptest::prelude::*;

    /// `count` requests of which the slowest hundredths take `tail`.
    fn latencies(count: u64, tail: u64) -> Vec<u64> {
        let mut run = vec![0; BUCKETS];
        for request in 0..count {
            let part = request * 1000 / count;
            let took = if part < 985 { 1_000 + part } else { tail };
            run[bucket(Micros(took))] += 1;
        }
        run
    }

    #[test]
    fn the_bound_is_what_one_and_a_half_percent_exceed() {
        let mut slow = SlowBound::new(None);
        slow.learn(Latencies(&latencies(499, 90_000)), 1.0);
        assert_eq!(slow.bound(), None, "too few");
        slow.learn(Latencies(&latencies(10_000, 90_000)), 1.0);
        let bound = slow.bound().unwrap();
        assert!((1_960..2_020).contains(&bound.0), "{bound:?}");
    }

    #[test]
    fn the_bound_stays_through_small_changes_and_follows_large_ones() {
        let mut slow = SlowBound::new(None);
        slow.learn(Latencies(&latencies(10_000, 90_000)), 1.0);
        let first = slow.bound();
        slow.learn(Latencies(&latencies(1_000, 3_000)), 1.0);
        assert_eq!(slow.bound(), first);
        let mut slower = vec![0; BUCKETS];
        slower[bucket(Micros(500_000))] = 10_000;
        slow.learn(Latencies(&slower), 1.0);
        assert!(slow.bound() > first);
    }

    #[test]
    fn a_bound_known_before_serves_until_there_is_a_better_one() {
        let mut slow = SlowBound::new(Some(Micros(7_000)));
        slow.learn(Latencies(&latencies(100, 90_000)), 1.0);
        assert_eq!(slow.bound(), Some(Micros(7_000)));
    }

    proptest! {
        #[test]
        fn bounds_are_read_as_they_were_written(
            bounds in prop::collection::vec(("[a-z]{1,40}", any::<u64>()), 0..9),
            junk in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let bytes = write(bounds.iter().map(|(name, bound)| (name.as_str(), Micros(*bound))));
            let again: Vec<(String, u64)> =
                read(&bytes).iter().map(|(name, bound)| ((*name).to_owned(), bound.0)).collect();
            prop_assert_eq!(again, bounds);
            prop_assert!(read(&junk).is_empty());
        }
    }
}
