//! The last minutes: 60 seconds and 60 tens of seconds of counts, 10 minutes of latencies.
//!
//! Who reads the [`ledger`](super::ledger) adds what came since its last look; the slot of the moment takes it.
//! The clock may be set. Back by up to a minute: what comes counts in the latest slot until that
//! time comes again. Back by more: all slots keep their contents and are told as that much
//! earlier. Forward: the time between counts as a time without requests.
//!
//! A route's windows take at most 64 KiB, in memory and as bytes. They are of stable and the first
//! four variants; a fifth has totals alone. Minutes that are over are kept as compact bytes, a few
//! hundred for most; if all of them are too much, the oldest go first.

use super::bytes::{Reader, Writer};
use super::counters::Counters;
use super::latency::BUCKETS;
use super::outcome::OUTCOMES;
use super::totals::LONGEST_NAME;
use crate::assign::hash::murmur3_x86_32;
use crate::assign::ramp::Millis;
use std::collections::VecDeque;

/// Sides that have windows.
pub const MOST_SIDES: usize = 5;
/// What the windows of a route take at most.
pub const MOST_BYTES: usize = 65_536;
/// Slots of a ring of counts.
pub const SLOTS: usize = 60;
/// Minutes of latencies, the running one included.
pub const MINUTES: usize = 10;

/// Whose bytes these are, and of which form.
const MAGIC: &[u8; 4] = b"SRW1";
const LONGEST_STEP_BACK: i64 = 60_000;

/// Requests by outcome in one slot, in the order of [`Outcome::ALL`](super::outcome::Outcome::ALL).
pub type Slot = [u32; OUTCOMES];

/// How far to look back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// 60 slots of a second.
    Minute,
    /// 60 slots of ten seconds.
    TenMinutes,
}

/// The slots of one period, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ring(VecDeque<Slot>);

impl Default for Ring {
    fn default() -> Self {
        Self(VecDeque::from([Slot::default(); SLOTS]))
    }
}

impl Ring {
    fn turn(&mut self, steps: i64) {
        for _ in 0..steps.clamp(0, SLOTS as i64) {
            self.0.rotate_right(1);
            if let Some(newest) = self.0.front_mut() {
                *newest = Slot::default();
            }
        }
    }

    fn add(&mut self, outcomes: &[u64]) {
        let newest = self.0.iter_mut().take(1).flatten();
        for (count, more) in newest.zip(outcomes) {
            *count = count.saturating_add(u32::try_from(*more).unwrap_or(u32::MAX));
        }
    }

    fn write(&self, to: &mut Writer) {
        let run: Vec<u64> = self
            .0
            .iter()
            .flatten()
            .map(|count| u64::from(*count))
            .collect();
        to.run(&run);
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let mut run = [0; SLOTS * OUTCOMES];
        from.run(&mut run)?;
        let mut ring = Self::default();
        for (count, read) in ring.0.iter_mut().flatten().zip(run) {
            *count = u32::try_from(read).ok()?;
        }
        Some(ring)
    }
}

/// The windows of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Side {
    name: Box<str>,
    seconds: Ring,
    tens: Ring,
    /// Latencies of the running minute.
    running: Box<[u32]>,
    /// Those of the minutes before, written as runs, the newest first.
    over: VecDeque<Vec<u8>>,
}

impl Side {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            seconds: Ring::default(),
            tens: Ring::default(),
            running: vec![0; BUCKETS].into_boxed_slice(),
            over: VecDeque::new(),
        }
    }

    fn turn_minutes(&mut self, steps: i64) {
        for _ in 0..steps.clamp(0, MINUTES as i64) {
            self.over.push_front(self.run());
            self.running.fill(0);
            self.over.truncate(MINUTES.saturating_sub(1));
        }
    }

    fn run(&self) -> Vec<u8> {
        let run: Vec<u64> = self.running.iter().map(|count| u64::from(*count)).collect();
        let mut writer = Writer::default();
        writer.run(&run);
        writer.done()
    }

    fn add(&mut self, counters: &Counters) {
        self.seconds.add(counters.outcomes());
        self.tens.add(counters.outcomes());
        for (count, more) in self.running.iter_mut().zip(counters.latencies().0) {
            *count = count.saturating_add(u32::try_from(*more).unwrap_or(u32::MAX));
        }
    }

    fn bytes(&self) -> usize {
        const FIXED: usize = (2 * SLOTS * OUTCOMES + BUCKETS) * 4 + 256;
        self.over
            .iter()
            .fold(FIXED, |sum, minute| sum.saturating_add(minute.len()))
    }

    fn write(&self, to: &mut Writer) {
        to.text(self.name.as_bytes());
        self.seconds.write(to);
        self.tens.write(to);
        to.raw(&self.run());
        to.number(self.over.len() as u64);
        self.over.iter().for_each(|minute| to.text(minute));
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let name = std::str::from_utf8(from.text(LONGEST_NAME)?).ok()?;
        let mut side = Self::new(name);
        side.seconds = Ring::read(from)?;
        side.tens = Ring::read(from)?;
        let mut run = vec![0; BUCKETS];
        from.run(&mut run)?;
        for (count, read) in side.running.iter_mut().zip(run) {
            *count = u32::try_from(read).ok()?;
        }
        for _ in 0..from.count(MINUTES.saturating_sub(1))? {
            side.over.push_back(from.text(MOST_BYTES)?.to_vec());
        }
        Some(side)
    }
}

/// The windows of one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    now: Millis,
    sides: Vec<Side>,
}

impl Windows {
    /// Empty windows of the sides with these names, from `now` on.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>, now: Millis) -> Self {
        Self {
            now,
            sides: names.into_iter().take(MOST_SIDES).map(Side::new).collect(),
        }
    }

    /// The same with these sides: those known before keep what they have.
    #[must_use]
    pub fn with_sides<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut take = |name: &str| {
            let known = self.sides.iter().position(|side| *side.name == *name);
            known.map_or_else(|| Side::new(name), |known| self.sides.swap_remove(known))
        };
        let sides = names.into_iter().take(MOST_SIDES).map(&mut take).collect();
        Self {
            now: self.now,
            sides,
        }
    }

    /// Lets time pass.
    pub fn turn(&mut self, now: Millis) {
        let back = self.now.0.saturating_sub(now.0);
        if back > LONGEST_STEP_BACK {
            self.now = now;
        }
        let steps = |period: i64| {
            let slot = |at: Millis| at.0.div_euclid(period);
            slot(now).saturating_sub(slot(self.now))
        };
        let (seconds, tens, minutes) = (steps(1_000), steps(10_000), steps(60_000));
        for side in &mut self.sides {
            side.seconds.turn(seconds);
            side.tens.turn(tens);
            side.turn_minutes(minutes);
        }
        self.now = self.now.max(now);
        self.fit();
    }

    /// Counts what came to the side at `place` since the last look.
    pub fn add(&mut self, place: usize, counters: &Counters) {
        if let Some(side) = self.sides.get_mut(place) {
            side.add(counters);
        }
    }

    /// Requests by outcome over `span`; nothing of a side without windows.
    pub fn outcomes(&self, place: usize, span: Span) -> Option<[u64; OUTCOMES]> {
        let mut sum = [0_u64; OUTCOMES];
        for slot in self.slots(place, span)? {
            for (sum, count) in sum.iter_mut().zip(slot) {
                *sum = sum.saturating_add(u64::from(*count));
            }
        }
        Some(sum)
    }

    /// The slots of `span`, the newest first.
    pub fn slots(&self, place: usize, span: Span) -> Option<impl Iterator<Item = &Slot>> {
        let side = self.sides.get(place)?;
        let ring = match span {
            Span::Minute => &side.seconds,
            Span::TenMinutes => &side.tens,
        };
        Some(ring.0.iter())
    }

    /// Latencies of the last `minutes` minutes, the running one included, as a run of
    /// [`BUCKETS`] counters.
    pub fn latencies(&self, place: usize, minutes: usize) -> Option<Vec<u64>> {
        let side = self.sides.get(place)?;
        let mut sum: Vec<u64> = side.running.iter().map(|count| u64::from(*count)).collect();
        let mut minute = vec![0; BUCKETS];
        for bytes in side.over.iter().take(minutes.saturating_sub(1)) {
            if Reader(bytes).run(&mut minute).is_some() {
                for (sum, count) in sum.iter_mut().zip(&minute) {
                    *sum = sum.saturating_add(*count);
                }
            }
        }
        Some(sum)
    }

    /// Lets the oldest minutes go until all fits.
    fn fit(&mut self) {
        let used = |sides: &[Side]| sides.iter().map(Side::bytes).sum::<usize>();
        while used(&self.sides) > MOST_BYTES && self.drop_oldest() {}
    }

    fn drop_oldest(&mut self) -> bool {
        let longest = self.sides.iter_mut().max_by_key(|side| side.over.len());
        longest.is_some_and(|side| side.over.pop_back().is_some())
    }

    /// As bytes, for shared data.
    pub fn write(&self) -> Vec<u8> {
        let mut fitting = self.clone();
        loop {
            let mut body = Writer::default();
            body.signed(fitting.now.0);
            body.number(fitting.sides.len() as u64);
            fitting.sides.iter().for_each(|side| side.write(&mut body));
            let body = body.done();
            if body.len() <= MOST_BYTES - 8 || !fitting.drop_oldest() {
                let mut value = Writer::default();
                value.raw(MAGIC);
                value.raw(&murmur3_x86_32(&[&body], 0).to_le_bytes());
                value.raw(&body);
                return value.done();
            }
        }
    }

    /// Reads what [`Self::write`] wrote; anything else is nothing.
    pub fn read(value: &[u8]) -> Option<Self> {
        let (magic, rest) = value.split_first_chunk::<4>()?;
        let (sum, body) = rest.split_first_chunk::<4>()?;
        if magic != MAGIC || murmur3_x86_32(&[body], 0) != u32::from_le_bytes(*sum) {
            return None;
        }
        let mut reader = Reader(body);
        let now = Millis(reader.signed()?);
        let count = reader.count(MOST_SIDES)?;
        let sides: Option<Vec<Side>> = (0..count).map(|_| Side::read(&mut reader)).collect();
        Some(Self { now, sides: sides? }).filter(|_| reader.is_empty())
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
