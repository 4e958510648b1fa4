//! All that was counted of one route: a sum, wherever its parts were counted.
//!
//! Totals of workers, of VMs that are gone and of earlier policies add up by name: sides are known
//! by the variant's name and not by its place, so a policy that reorders its variants goes on
//! counting each of them. At most [`MOST_SIDES`] names are kept; requests of further ones are told
//! as [`Totals::dropped`].

use super::bytes::{Reader, Writer};
use super::callers::Failing;
use super::counters::Counters;
use super::hosts::Hosts;

/// Sides of a route: stable, 16 variants, and as many that earlier policies had.
pub const MOST_SIDES: usize = 32;
/// The longest name, in bytes; the policy's have at most 40.
pub const LONGEST_NAME: usize = 64;

/// One side of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Side {
    /// Its name: `stable` or a variant's.
    pub name: Box<str>,
    /// Its counters.
    pub counters: Counters,
    /// Which of its callers had errors.
    pub failing: Failing,
}

impl Side {
    fn merge(&mut self, other: &Self) {
        self.counters.merge(&other.counters);
        self.failing.merge(&other.failing);
    }
}

/// All that was counted of one route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Its sides, in the order they came to be known.
    pub sides: Vec<Side>,
    /// Its hosts; a host's side is a place in `sides`.
    pub hosts: Hosts,
    /// Requests of sides beyond [`MOST_SIDES`].
    pub dropped: u64,
}

impl Totals {
    /// Nothing yet of the sides with these names.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let side = |name: &str| Side {
            name: name.into(),
            ..Side::default()
        };
        Self {
            sides: names.into_iter().take(MOST_SIDES).map(side).collect(),
            ..Self::default()
        }
    }

    /// The side named `name`.
    pub fn side(&self, name: &str) -> Option<&Side> {
        self.sides.iter().find(|side| *side.name == *name)
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        let mut places = [None; MOST_SIDES];
        for (place, side) in places.iter_mut().zip(&other.sides) {
            *place = self.place(&side.name);
            match place.and_then(|place| self.sides.get_mut(place)) {
                Some(own) => own.merge(side),
                None => {
                    let lost = side
                        .counters
                        .outcomes()
                        .iter()
                        .fold(0, |sum: u64, n| sum.saturating_add(*n));
                    self.dropped = self.dropped.saturating_add(lost);
                }
            }
        }
        let place = |side: usize| places.get(side).copied().flatten();
        let known = places.iter().take(other.sides.len());
        let in_place = known.zip(0..).all(|(place, own)| *place == Some(own));
        if in_place {
            self.hosts.merge(&other.hosts);
        } else {
            let mut hosts = other.hosts.clone();
            hosts.renumber(place);
            self.hosts.merge(&hosts);
        }
        self.dropped = self.dropped.saturating_add(other.dropped);
    }

    fn place(&mut self, name: &str) -> Option<usize> {
        let known = self.sides.iter().position(|side| *side.name == *name);
        if known.is_some() || self.sides.len() >= MOST_SIDES {
            return known;
        }
        let place = self.sides.len();
        self.sides.push(Side {
            name: name.into(),
            ..Side::default()
        });
        Some(place)
    }

    /// Back to 0; sides and hosts keep their places and their memory.
    pub fn clear(&mut self) {
        for side in &mut self.sides {
            side.counters.clear();
            side.failing = Failing::default();
        }
        self.hosts.clear();
        self.dropped = 0;
    }

    /// Writes them.
    pub fn write(&self, to: &mut Writer) {
        to.number(self.dropped);
        to.number(self.sides.len() as u64);
        for side in &self.sides {
            to.text(side.name.as_bytes());
            to.run(side.counters.run());
            side.failing.write(to);
        }
        self.hosts.write(to);
    }

    /// Reads what [`Self::write`] wrote; nothing if it is anything else.
    pub fn read(from: &mut Reader<'_>) -> Option<Self> {
        let dropped = from.number()?;
        let count = from.count(MOST_SIDES)?;
        let mut sides = Vec::with_capacity(count);
        for _ in 0..count {
            let name = std::str::from_utf8(from.text(LONGEST_NAME)?).ok()?;
            let mut counters = Counters::default();
            from.run(counters.run_mut())?;
            sides.push(Side {
                name: name.into(),
                counters,
                failing: Failing::read(from)?,
            });
        }
        let hosts = match count {
            0 => Hosts::default(),
            sides => Hosts::read(from, sides)?,
        };
        Some(Self {
            sides,
            hosts,
            dropped,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::assign::ramp::Millis;
    use crate::health::callers::Caller;
    use crate::health::clock::Micros;
    use crate::health::counters::Request;
    use crate::health::outcome::Outcome;
    use crate::health::route::RouteHealth;
    use proptest::prelude::*;

    /// Some requests: which side, outcome, caller and host, how long, when.
    pub type Traffic = Vec<(usize, usize, u8, u8, u32, u16)>;

    pub fn traffic() -> impl Strategy<Value = Traffic> {
        let request = (
            0_usize..3,
            0..12_usize,
            any::<u8>(),
            0_u8..20,
            any::<u32>(),
            any::<u16>(),
        );
        prop::collection::vec(request, 0..40)
    }

    /// What a worker counts of it; variants may stand in another order.
    pub fn counted(traffic: &Traffic, turned: bool) -> Totals {
        let names = if turned {
            ["stable", "b", "canary"]
        } else {
            ["stable", "canary", "b"]
        };
        let mut health = RouteHealth::new("checkout", names);
        for (side, outcome, caller, host, took, now) in traffic {
            let name = ["stable", "canary", "b"][*side];
            let side = names.iter().position(|known| *known == name).unwrap();
            let address = format!("10.0.0.{host}:80");
            let request = Request {
                outcome: Outcome::ALL[*outcome],
                latency: Some(Micros(u64::from(*took))),
                attempts: 1,
                bytes: None,
                caller: Some(Caller::of(&[*caller])),
                host: Some(address.as_bytes()),
                exposure: None,
            };
            health.record_at(side, &request, Millis(i64::from(*now)));
        }
        health.delta().clone()
    }

    /// Totals without the order of their parts.
    pub fn sorted(totals: &Totals) -> (Vec<Side>, Vec<String>) {
        let mut sides = totals.sides.clone();
        sides.sort_by(|a, b| a.name.cmp(&b.name));
        let told = |host: &crate::health::hosts::Host| {
            format!(
                "{} {:?}",
                totals.sides[host.side].name,
                (&host.address, host.seen, host.tally)
            )
        };
        let mut hosts: Vec<_> = totals.hosts.all().iter().map(told).collect();
        hosts.sort();
        (sides, hosts)
    }

    fn sum(parts: &[&Totals]) -> Totals {
        let mut sum = Totals::of(["stable", "canary", "b"]);
        parts.iter().for_each(|part| sum.merge(part));
        sum
    }

    proptest! {
        #[test]
        fn totals_are_the_same_in_whatever_order_they_are_added(
            a in traffic(), b in traffic(), c in traffic(),
        ) {
            let (a, b, c) = (counted(&a, false), counted(&b, true), counted(&c, false));
            let bc = sum(&[&b, &c]);
            let forward = sum(&[&a, &b, &c]);
            prop_assert_eq!(sorted(&forward), sorted(&sum(&[&c, &b, &a])));
            prop_assert_eq!(sorted(&forward), sorted(&sum(&[&a, &bc])));
            prop_assert_eq!(sorted(&forward), sorted(&sum(&[&bc, &a])));
        }

        #[test]
        fn totals_are_read_as_they_were_written(a in traffic()) {
            let totals = counted(&a, false);
            let mut writer = Writer::default();
            totals.write(&mut writer);
            prop_assert_eq!(Totals::read(&mut Reader(&writer.done())), Some(totals));
        }

        #[test]
        fn any_bytes_are_totals_or_nothing(
            a in traffic(), at in any::<prop::sample::Index>(), byte: u8, end in any::<prop::sample::Index>(),
        ) {
            let mut writer = Writer::default();
            counted(&a, false).write(&mut writer);
            let mut bytes = writer.done();
            let place = at.index(bytes.len());
            bytes[place] = byte;
            if let Some(read) = Totals::read(&mut Reader(&bytes)) {
                let mut sum = read.clone();
                sum.merge(&read);
            }
            let _ = Totals::read(&mut Reader(&bytes[..end.index(bytes.len())]));
        }
    }

    #[test]
    fn sides_beyond_the_most_are_dropped_and_told() {
        let mut totals = Totals::of((0..MOST_SIDES).map(|_| "x"));
        for name in 0..MOST_SIDES {
            totals.sides[name].name = name.to_string().into();
        }
        totals.merge(&counted(
            &vec![(0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0)],
            false,
        ));
        assert_eq!((totals.sides.len(), totals.dropped), (MOST_SIDES, 2));
        assert_eq!(totals.hosts.others().requests, 2);
    }
}
