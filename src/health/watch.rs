//! One route as it is watched over time: what came since the last look, windows, what is slow,
//! whether shares are kept.
//!
//! Whoever watches looks at the [`ledger`](super::ledger) once a tick. One watcher in a process is enough (the
//! one that holds the lease on gauges and gates); more do no harm, since looking changes nothing.
//! A watcher that begins knows the totals at once, and has windows from then on unless it is given
//! those of its predecessor. Totals that became smaller (shared data was damaged or lost) say
//! nothing of the time between: the look after counts from there.

use super::bytes::{Reader, Writer};
use super::clock::Micros;
use super::counters::Counters;
use super::ledger::{Changes, Reading};
use super::share::{self, Seen, ShareCheck};
use super::slow::SlowBound;
use super::totals::{LONGEST_NAME, MOST_SIDES, Totals};
use super::window::{self, Windows};
use crate::assign::ramp::Millis;
use crate::bounds::within;
use crate::text::joined;

/// What stands before the names of sides whose draws are an experiment's; no side's name has it.
const SAMPLE: &str = "+";
/// A gap of more than this between two looks fades no further: the clock was set.
const LONGEST_GAP: f64 = 3_600.0;

/// A route, watched.
#[derive(Debug, Clone)]
pub struct RouteWatch {
    name: Box<str>,
    sides: Vec<Box<str>>,
    looked: Millis,
    changes: Changes,
    totals: Option<Totals>,
    windows: Windows,
    slow: SlowBound,
    shares: Vec<ShareCheck>,
    /// The same over hours; of a route with an experiment alone.
    samples: Vec<ShareCheck>,
}

impl RouteWatch {
    /// Begins to watch a route with these sides, stable first. `kept` is what a predecessor
    /// [kept](Self::kept), if there was one; `slow` is the bound known by then; `experiment` says
    /// whether the sample ratio is of interest.
    pub fn new<'n>(
        name: &str,
        sides: impl IntoIterator<Item = &'n str>,
        kept: Option<&[u8]>,
        slow: Option<Micros>,
        experiment: bool,
        now: Millis,
    ) -> Self {
        let sides: Vec<Box<str>> = sides.into_iter().map(Box::from).collect();
        let names = || sides.iter().map(|side| &**side);
        let (windows, checks) = kept.and_then(read).unwrap_or_default();
        let windows = windows.map_or_else(
            || Windows::new(names(), now),
            |windows| windows.with_sides(names()),
        );
        let checks_of = |before: &str| {
            let mut found = Vec::with_capacity(sides.len());
            for name in names() {
                let name = joined(&[before, name]);
                let known = checks.iter().find(|(side, _)| *side == name);
                found.push(known.map_or_else(ShareCheck::default, |(_, check)| check.clone()));
            }
            found
        };
        let samples = match experiment {
            true => checks_of(SAMPLE),
            false => Vec::new(),
        };
        Self {
            name: name.into(),
            looked: now,
            changes: Changes::default(),
            totals: None,
            windows,
            slow: SlowBound::new(slow),
            shares: checks_of(""),
            samples,
            sides,
        }
    }

    /// What a successor is to know: the windows and what was drawn, as bytes.
    pub fn kept(&self) -> Vec<u8> {
        let mut value = Writer::default();
        value.text(&self.windows.write());
        for (before, checks) in [("", &self.shares), (SAMPLE, &self.samples)] {
            for (side, check) in self.sides.iter().zip(checks).take(MOST_SIDES) {
                value.text(joined(&[before, side]).as_bytes());
                check.write(&mut value);
            }
        }
        value.done()
    }

    /// Looks at the ledger: what came to each side since the last look, in the order of the sides.
    /// Nothing at the first look, and after totals were lost.
    pub fn look(&mut self, reading: &Reading<'_>, now: Millis) -> Option<Vec<Counters>> {
        let changes = reading.changes(&self.name);
        let came = match &self.totals {
            Some(_) if changes == self.changes => Some(self.nothing()),
            _ => {
                let totals = reading.totals(&self.name);
                let came = self.came(&totals);
                self.totals = Some(totals);
                came
            }
        };
        self.changes = changes;
        self.windows.turn(now);
        let seconds = now.0.saturating_sub(self.looked.0) as f64 / 1_000.0;
        self.looked = now;
        if let Some(came) = &came {
            self.learn(came, within(seconds, 0.0, LONGEST_GAP));
        }
        came
    }

    fn learn(&mut self, came: &[Counters], seconds: f64) {
        for (place, delta) in came.iter().enumerate() {
            self.windows.add(place, delta);
        }
        if let Some(stable) = came.first() {
            self.slow.learn(stable.latencies(), seconds);
        }
        for (checks, half_life) in [
            (&mut self.shares, share::HALF_LIFE),
            (&mut self.samples, share::SAMPLE_HALF_LIFE),
        ] {
            for (check, delta) in checks.iter_mut().zip(came) {
                check.learn(delta, came, seconds, half_life);
            }
        }
    }

    fn nothing(&self) -> Vec<Counters> {
        vec![Counters::default(); self.sides.len()]
    }

    fn came(&self, totals: &Totals) -> Option<Vec<Counters>> {
        let before = self.totals.as_ref()?;
        let none = Counters::default();
        let of =
            |totals: &'_ Totals, name: &str| totals.side(name).map(|side| side.counters.clone());
        let sides = self.sides.iter().map(|name| {
            let now = of(totals, name).unwrap_or_else(|| none.clone());
            now.since(&of(before, name).unwrap_or_else(|| none.clone()))
        });
        sides.collect()
    }

    /// The route's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of its sides, stable first.
    pub fn sides(&self) -> impl Iterator<Item = &str> {
        self.sides.iter().map(|side| &**side)
    }

    /// All that was ever counted, at the last look.
    pub fn totals(&self) -> Option<&Totals> {
        self.totals.as_ref()
    }

    /// The last minutes.
    pub fn windows(&self) -> &Windows {
        &self.windows
    }

    /// The bound beyond which a request is slow.
    pub fn slow_bound(&self) -> Option<Micros> {
        self.slow.bound()
    }

    /// The share that the side at `place` got beside the one it was to get.
    pub fn share(&self, place: usize) -> Option<Seen> {
        self.shares.get(place).and_then(ShareCheck::seen)
    }
}

impl RouteWatch {
    /// Whether the sides of an experiment got other parts of the draws than they were to get; nothing
    /// without an experiment.
    pub fn sample_ratio_mismatch(&self) -> Option<bool> {
        (!self.samples.is_empty()).then(|| share::is_mismatch(&self.samples))
    }
}

type Kept<'b> = (Option<Windows>, Vec<(&'b str, ShareCheck)>);

fn read(value: &[u8]) -> Option<Kept<'_>> {
    let mut reader = Reader(value);
    let windows = Windows::read(reader.text(window::MOST_BYTES)?);
    let mut checks = Vec::new();
    while !reader.is_empty() && checks.len() < 2 * MOST_SIDES {
        let side = std::str::from_utf8(reader.text(LONGEST_NAME)?).ok()?;
        checks.push((side, ShareCheck::read(&mut reader)?));
    }
    Some((windows, checks))
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
