//! A flag that gives way under load: shed while a limit of a route is crossed, itself again later.
//!
//! The limits are those of gates ([`limits`](super::limits)), over all requests of the route: crossed
//! all along for their time, and with requests enough. A flag that is shed makes its route better, so
//! that its own limit says little of when to end it. Hence the hysteresis is one of time: no limit may be
//! crossed for [`Settings::restore_after`], with requests, and each part of a limit's time (an eighth)
//! in which one is crossed starts the wait anew. Without requests nothing is known, and a flag stays
//! what it is. So a flag that is restored too early is shed again after the limit's time, no sooner: it
//! changes at most twice in that time and the wait together.
//!
//! Like the gates' orders, the flags that are shed are one value in shared data, by name.

use super::detector::sample::Sample;
use super::input::Tick;
use super::limits::{Admitted, Limit, LimitWatch, Quantity};
use std::time::Duration;

/// What the value begins with: whose it is, and in which form.
const MAGIC: &str = "SFs1";

/// The key; `name` is the policy's.
pub fn key(name: &str) -> String {
    format!("{name}.flags.shed")
}

/// The names of the flags that are shed, as a value: a line each. No name has a line's end in it, and
/// one that was damaged is no flag's.
pub fn write<'n>(names: impl Iterator<Item = &'n str>) -> Vec<u8> {
    let mut value = MAGIC.as_bytes().to_vec();
    for name in names {
        value.push(b'\n');
        value.extend_from_slice(name.as_bytes());
    }
    value
}

/// Whether `value` says that the flag `name` is shed; nothing if it is no value of [`write()`]'s.
pub fn is_in(value: &[u8], name: &str) -> Option<bool> {
    let mut lines = value.split(|byte| *byte == b'\n');
    let is_ours = lines.next() == Some(MAGIC.as_bytes());
    is_ours.then(|| lines.any(|line| line == name.as_bytes()))
}

/// When a flag is shed, and when no more.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Each is enough.
    pub limits: Vec<Limit>,
    /// How long none may be crossed.
    pub restore_after: Duration,
    /// Upper bounds of the latency buckets, in milliseconds.
    pub latency_bounds_ms: Vec<f64>,
}

/// What became of a flag.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// It is shed, for this.
    Shed(Quantity, Sample),
    /// It is itself again.
    Restored,
}

/// One flag, watched.
#[derive(Debug, Clone)]
pub struct Shed {
    watches: Vec<LimitWatch>,
    is_shed: bool,
    good_s: f64,
}

impl Shed {
    /// Begins to watch a flag that stands so.
    pub fn new(settings: &Settings, is_shed: bool) -> Self {
        Self {
            watches: settings
                .limits
                .iter()
                .copied()
                .map(LimitWatch::new)
                .collect(),
            is_shed,
            good_s: 0.0,
        }
    }

    /// Whether it is shed.
    pub fn is_shed(&self) -> bool {
        self.is_shed
    }

    /// Takes in what came to the route in a tick of so many seconds, as the canary's side.
    pub fn learn(&mut self, settings: &Settings, tick: &Tick, seconds: f64) -> Option<Change> {
        let counts = &tick.canary()?.counts;
        let admitted = Admitted {
            errors: Sample::of(counts.requests, counts.errors),
            ..Admitted::default()
        };
        let mut crossed = None;
        for watch in &mut self.watches {
            let found = watch.learn(tick, admitted, &settings.latency_bounds_ms, seconds);
            let quantity = watch.limit().quantity;
            crossed = crossed.or(found.map(|pair| (quantity, pair.canary)));
        }
        if !self.is_shed {
            let (quantity, sample) = crossed?;
            (self.is_shed, self.good_s) = (true, 0.0);
            return Some(Change::Shed(quantity, sample));
        }
        if self.watches.iter().any(LimitWatch::is_crossing) {
            self.good_s = 0.0;
        } else if counts.requests > 0 {
            self.good_s += seconds;
        }
        let is_restored = self.good_s >= settings.restore_after.as_secs_f64();
        self.is_shed = !is_restored;
        is_restored.then_some(Change::Restored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::limits::Bound;
    use crate::gate::{Canary, Counts, KeySlot};

    fn settings() -> Settings {
        Settings {
            limits: vec![Limit {
                quantity: Quantity::ErrorRate,
                bound: Bound::Above(0.1),
                lasting: Duration::from_secs(8),
                min_requests: 100,
            }],
            restore_after: Duration::from_secs(20),
            latency_bounds_ms: vec![10.0, 100.0],
        }
    }

    fn tick(requests: u64, errors: u64) -> Tick {
        Tick {
            canary: Some(Canary {
                counts: Counts {
                    requests,
                    errors,
                    ..Counts::default()
                },
                slots: [KeySlot::default(); crate::gate::input::KEY_SLOTS],
            }),
            ..Tick::default()
        }
    }

    /// The changes, with the second of each.
    fn changes(shed: &mut Shed, ticks: impl Iterator<Item = Tick>) -> Vec<(usize, Change)> {
        let learned = ticks.map(|tick| shed.learn(&settings(), &tick, 1.0));
        let numbered = learned.enumerate();
        numbered
            .filter_map(|(second, change)| Some((second + 1, change?)))
            .collect()
    }

    #[test]
    fn a_limit_that_is_crossed_all_along_sheds_and_a_good_while_restores() {
        let mut shed = Shed::new(&settings(), false);
        let bad = || (0..30).map(|_| tick(50, 10));
        let told = changes(&mut shed, bad());
        let [(8, Change::Shed(Quantity::ErrorRate, sample))] = told[..] else {
            panic!("{told:?}");
        };
        assert_eq!((sample.n, sample.k), (400.0, 80.0));
        let good = || (0..30).map(|_| tick(50, 1));
        assert_eq!(changes(&mut shed, good()), [(20, Change::Restored)]);
        assert_eq!(changes(&mut shed, bad()).len(), 1, "and again");
    }

    #[test]
    fn a_relapse_starts_the_wait_anew_though_it_is_shorter_than_the_limit() {
        let mut shed = Shed::new(&settings(), true);
        let ticks = (0..60).map(|second| tick(50, if second == 15 { 25 } else { 0 }));
        assert_eq!(changes(&mut shed, ticks), [(36, Change::Restored)]);
    }

    #[test]
    fn without_requests_or_counts_nothing_changes() {
        for was_shed in [false, true] {
            let mut shed = Shed::new(&settings(), was_shed);
            assert_eq!(changes(&mut shed, (0..90).map(|_| tick(0, 0))), []);
            assert_eq!(changes(&mut shed, (0..90).map(|_| Tick::default())), []);
            assert_eq!(shed.is_shed(), was_shed);
        }
        // Too few of them shed nothing either.
        let mut shed = Shed::new(&settings(), false);
        assert_eq!(changes(&mut shed, (0..9).map(|_| tick(5, 5))), []);
    }

    #[test]
    fn the_names_are_found_as_they_were_written_and_other_bytes_say_nothing() {
        let value = write(["rec_engine", "b"].into_iter());
        for (name, shed) in [
            ("rec_engine", true),
            ("b", true),
            ("rec", false),
            ("", false),
        ] {
            assert_eq!(is_in(&value, name), Some(shed), "{name}");
        }
        assert_eq!(is_in(&write([].into_iter()), "b"), Some(false));
        for foreign in [&b""[..], b"SFs2\nb", b"b", b"SFs1b"] {
            assert_eq!(is_in(foreign, "b"), None);
        }
    }
}
