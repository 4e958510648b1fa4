//! What happened on each upstream host, so that one bad pod of ten shows with its address.
//!
//! A route has at most 64 of them. Beyond that a new host takes the place of the one that was not
//! seen for the longest time, if that was ten minutes or more ago, and else is counted with all
//! others under [`Hosts::others`]; what a host loses its place with goes there too, so the sums
//! stay whole. Addresses are what Envoy tells: an IP and a port, or the path of a Unix socket.

use super::bytes::{Reader, Writer};
use super::clock::Micros;
use super::outcome::Outcome;
use crate::assign::hash::murmur3_x86_32;
use crate::assign::ramp::Millis;

/// Hosts of a route that are told apart.
pub const MOST_HOSTS: usize = 64;
/// The longest address that is kept, in bytes; a Unix socket's path has at most 108. Longer ones
/// are cut.
const LONGEST_ADDRESS: usize = 128;
/// A host that was not seen for this long may lose its place.
const FORGOTTEN_MS: i64 = 600_000;

/// The counters of a host, which only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Judged requests.
    pub requests: u64,
    /// Those that were errors.
    pub errors: u64,
    /// Those whose latency is known.
    pub timed: u64,
    /// The sum of their latencies in microseconds.
    pub latency_us: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.errors = self.errors.saturating_add(other.errors);
        self.timed = self.timed.saturating_add(other.timed);
        self.latency_us = self.latency_us.saturating_add(other.latency_us);
    }

    /// The mean latency.
    pub fn mean(&self) -> Option<Micros> {
        self.latency_us.checked_div(self.timed).map(Micros)
    }

    fn write(self, to: &mut Writer) {
        to.number(self.requests);
        to.number(self.errors);
        to.number(self.timed);
        to.number(self.latency_us);
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            requests: from.number()?,
            errors: from.number()?,
            timed: from.number()?,
            latency_us: from.number()?,
        })
    }
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The side it served, by its place in the route: 0 is stable. A host of two sides is two.
    pub side: usize,
    /// Its address.
    pub address: Box<[u8]>,
    /// A hash of it, so that the others are passed over quickly.
    hash: u32,
    /// When it was last seen.
    pub seen: Millis,
    /// What happened on it.
    pub tally: Tally,
}

fn hash(address: &[u8]) -> u32 {
    murmur3_x86_32(&[address], 0)
}

/// The hosts of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts {
    hosts: Vec<Host>,
    others: Tally,
}

impl Hosts {
    /// Counts a judged request.
    pub fn count(
        &mut self,
        side: usize,
        address: &[u8],
        outcome: Outcome,
        took: Option<Micros>,
        now: Millis,
    ) {
        let tally = Tally {
            requests: 1,
            errors: u64::from(outcome.is_error()),
            timed: u64::from(took.is_some()),
            latency_us: took.map_or(0, |took| took.0),
        };
        self.add(side, address, tally, now);
    }

    fn add(&mut self, side: usize, address: &[u8], tally: Tally, seen: Millis) {
        let address = address.get(..LONGEST_ADDRESS).unwrap_or(address);
        self.add_hashed(side, address, hash(address), tally, seen);
    }

    fn add_hashed(&mut self, side: usize, address: &[u8], hash: u32, tally: Tally, seen: Millis) {
        let same =
            |host: &&mut Host| host.hash == hash && host.side == side && *host.address == *address;
        if let Some(host) = self.hosts.iter_mut().find(same) {
            host.tally.add(tally);
            host.seen = host.seen.max(seen);
            return;
        }
        if self.hosts.len() >= MOST_HOSTS && !self.make_room(seen) {
            self.others.add(tally);
            return;
        }
        self.hosts.push(Host {
            side,
            address: address.into(),
            hash,
            seen,
            tally,
        });
    }

    fn make_room(&mut self, now: Millis) -> bool {
        let oldest = self
            .hosts
            .iter()
            .enumerate()
            .min_by_key(|(_, host)| host.seen);
        let Some((index, host)) = oldest else {
            return false;
        };
        if now.0.saturating_sub(host.seen.0) < FORGOTTEN_MS {
            return false;
        }
        self.others.add(self.hosts.swap_remove(index).tally);
        true
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        let counted = other.hosts.iter().filter(|host| host.tally.requests > 0);
        counted.for_each(|host| {
            self.add_hashed(host.side, &host.address, host.hash, host.tally, host.seen);
        });
        self.others.add(other.others);
    }

    /// Back to 0; the hosts keep their places, so that counting on needs no new memory.
    pub fn clear(&mut self) {
        self.hosts
            .iter_mut()
            .for_each(|host| host.tally = Tally::default());
        self.others = Tally::default();
    }

    /// The hosts, in no order.
    pub fn all(&self) -> &[Host] {
        &self.hosts
    }

    /// What was counted beyond the places.
    pub fn others(&self) -> Tally {
        self.others
    }

    /// Gives each host's side the number that `renumber` says; those without one go to the others.
    pub fn renumber(&mut self, renumber: impl Fn(usize) -> Option<usize>) {
        for host in std::mem::take(&mut self.hosts) {
            match renumber(host.side) {
                Some(side) => self.hosts.push(Host { side, ..host }),
                None => self.others.add(host.tally),
            }
        }
    }

    /// Writes them.
    pub fn write(&self, to: &mut Writer) {
        self.others.write(to);
        to.number(self.hosts.len() as u64);
        for host in &self.hosts {
            to.number(host.side as u64);
            to.text(&host.address);
            to.signed(host.seen.0);
            host.tally.write(to);
        }
    }

    /// Reads them; sides are below `sides`.
    pub fn read(from: &mut Reader<'_>, sides: usize) -> Option<Self> {
        let others = Tally::read(from)?;
        let count = from.count(MOST_HOSTS)?;
        let mut hosts = Vec::with_capacity(count);
        for _ in 0..count {
            let side = from.count(sides.checked_sub(1)?)?;
            let address = from.text(LONGEST_ADDRESS)?;
            hosts.push(Host {
                side,
                address: address.into(),
                hash: hash(address),
                seen: Millis(from.signed()?),
                tally: Tally::read(from)?,
            });
        }
        Some(Self { hosts, others })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(hosts: &Hosts) -> u64 {
        let all = hosts.all().iter().map(|host| host.tally.requests);
        all.sum::<u64>() + hosts.others().requests
    }

    #[test]
    fn hosts_beyond_the_places_are_counted_together() {
        let mut hosts = Hosts::default();
        for host in 0..100 {
            let address = format!("/run/app-{host}.sock");
            hosts.count(
                0,
                address.as_bytes(),
                Outcome::Ok,
                Some(Micros(10)),
                Millis(host),
            );
        }
        assert_eq!(hosts.all().len(), MOST_HOSTS);
        assert_eq!(hosts.others().requests, 36);
        assert_eq!(sum(&hosts), 100);
    }

    #[test]
    fn a_host_not_seen_for_ten_minutes_makes_room() {
        let mut hosts = Hosts::default();
        for host in 0..64_i64 {
            hosts.count(0, &host.to_le_bytes(), Outcome::Ok, None, Millis(host));
        }
        hosts.count(0, b"new", Outcome::Ok, None, Millis(FORGOTTEN_MS));
        assert!(hosts.all().iter().any(|host| *host.address == *b"new"));
        assert!(
            !hosts
                .all()
                .iter()
                .any(|host| *host.address == 0_i64.to_le_bytes())
        );
        assert_eq!((sum(&hosts), hosts.others().requests), (65, 1));
    }

    #[test]
    fn one_address_of_two_sides_is_two_hosts_and_long_ones_are_cut() {
        let mut hosts = Hosts::default();
        let long = [b'a'; 500];
        for side in [0, 1, 1] {
            hosts.count(side, &long, Outcome::Ok, Some(Micros(4)), Millis(0));
        }
        assert_eq!(hosts.all().len(), 2);
        assert_eq!(hosts.all()[1].address.len(), LONGEST_ADDRESS);
        assert_eq!(hosts.all()[1].tally.mean(), Some(Micros(4)));
        hosts.clear();
        assert_eq!((hosts.all().len(), sum(&hosts)), (2, 0));
        assert_eq!(hosts.all()[1].tally.mean(), None);
    }
}
