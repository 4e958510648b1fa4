//! Totals that outlive VMs, and are the same whoever asks.
//!
//! Shared data holds [`SLOTS`] values under fixed keys, each the sum of what some workers counted.
//! All totals are the sum of all slots. Adding to one is a compare-and-swap, so every delta is
//! added to exactly one slot exactly once, and nothing else needs to be agreed on: nobody owns a
//! slot, no worker has to be known, and a VM that dies takes at most its last tick's counts with
//! it. (Java's LongAdder stripes its cells in the same way, for the same reason.) A new VM goes on
//! with what its predecessor left, and two roots of one VM, or an old one that still ticks, are
//! just two more writers.
//!
//! A worker each tick, if anything was counted:
//!
//! 1. Read the value at [`key`] of its slot, a random one at first, and the host's number for it.
//! 2. [`added`] gives the new value; write it with that number (with `u32::MAX` where the key was
//!    absent, which makes creating it a compare-and-swap too).
//! 3. Taken: clear the deltas. Refused: go on to the next slot, at most [`TRIES`] times a tick; if
//!    all were refused the deltas wait for the next tick.
//!
//! Who reads takes all slots' values and asks [`Reading`] for a route's sum. A reader may see one
//! slot from before and one from after a tick; each delta is still counted once.
//!
//! A value is a directory of routes and their totals, each with a checksum and with a number that
//! grows whenever they change, so that who reads can pass over what is as it was. Foreign bytes and
//! another version's count as absent and are written over; a damaged route is absent alone. Beyond
//! [`MOST_ROUTES`] routes or [`MOST_BYTES`] those that were not added to for the longest time go,
//! which are those that no policy has any more.

use super::bytes::{Reader, Writer};
use super::route::RouteHealth;
use super::totals::{LONGEST_NAME, Totals};
use crate::assign::hash::murmur3_x86_32;
use crate::assign::ramp::Millis;
use crate::sorted::{distinct, sorted_by};

/// Values that hold the sums. As many workers can write at once without being refused; 16 reads a
/// tick cost 12 µs at most, and most proxies have fewer workers.
pub const SLOTS: usize = 16;
/// Slots that are tried in one tick.
pub const TRIES: usize = 4;
/// Routes in a slot; a policy has at most 500.
pub const MOST_ROUTES: usize = 512;
/// Bytes of a slot: values of 4 MB were seen to pass through the host.
pub const MOST_BYTES: usize = 4_000_000;

/// Whose bytes these are, and of which form. Another form of [`Totals`] needs another.
const MAGIC: &[u8; 4] = b"SRH2";

/// The key of a slot; `name` is the policy's.
pub fn key(name: &str, slot: usize) -> String {
    format!("{name}.health.{}", slot % SLOTS)
}

/// One route in a slot.
#[derive(Debug, Clone)]
struct Section<'b> {
    name: &'b str,
    /// How often it was added to.
    changes: u64,
    added: Millis,
    sum: u32,
    body: &'b [u8],
}

impl<'b> Section<'b> {
    fn totals(&self) -> Option<Totals> {
        if murmur3_x86_32(&[self.body], 0) != self.sum {
            return None;
        }
        let mut reader = Reader(self.body);
        let totals = Totals::read(&mut reader)?;
        reader.is_empty().then_some(totals)
    }

    /// Reads the directory, then gives each entry its body.
    fn all(value: &'b [u8]) -> Option<Vec<Self>> {
        let (magic, rest) = value.split_first_chunk::<4>()?;
        let (sum, rest) = rest.split_first_chunk::<4>()?;
        let mut reader = Reader(rest);
        let directory = reader.text(MOST_BYTES)?;
        if magic != MAGIC || murmur3_x86_32(&[directory], 0) != u32::from_le_bytes(*sum) {
            return None;
        }
        let mut bodies = reader;
        let mut entries = Reader(directory);
        let count = entries.count(MOST_ROUTES)?;
        let mut sections = Vec::with_capacity(count);
        for _ in 0..count {
            sections.push(Self {
                name: std::str::from_utf8(entries.text(LONGEST_NAME)?).ok()?,
                changes: entries.number()?,
                added: Millis(entries.signed()?),
                sum: u32::try_from(entries.number()?).ok()?,
                body: bodies.raw(entries.count(MOST_BYTES)?)?,
            });
        }
        Some(sections)
    }

    fn describe(&self, to: &mut Writer) {
        to.text(self.name.as_bytes());
        to.number(self.changes);
        to.signed(self.added.0);
        to.number(u64::from(self.sum));
        to.number(self.body.len() as u64);
    }
}

/// The slot's value with the deltas of `routes` added to what it is now (`None`: absent).
pub fn added<'r>(
    value: Option<&[u8]>,
    routes: impl IntoIterator<Item = &'r RouteHealth>,
    now: Millis,
) -> Vec<u8> {
    let old = value.and_then(Section::all).unwrap_or_default();
    let deltas = routes.into_iter().filter(|route| route.is_dirty());
    let changed: Vec<(&RouteHealth, Vec<u8>)> = deltas
        .map(|route| {
            let before = old.iter().find(|section| section.name == route.name());
            (route, sum(before, route.delta()))
        })
        .collect();
    let is_changed = |name: &str| changed.iter().any(|(route, _)| route.name() == name);
    let kept = old.iter().filter(|section| !is_changed(section.name));
    let mut sections: Vec<Section<'_>> = kept.cloned().collect();
    for (route, body) in &changed {
        let before = old.iter().find(|section| section.name == route.name());
        sections.push(Section {
            name: route.name(),
            changes: before
                .map_or(0, |section| section.changes)
                .saturating_add(1),
            added: now,
            sum: murmur3_x86_32(&[body], 0),
            body,
        });
    }
    write(fitting(sections))
}

fn sum(before: Option<&Section<'_>>, delta: &Totals) -> Vec<u8> {
    let mut writer = Writer::default();
    match before.and_then(Section::totals) {
        Some(mut totals) => {
            totals.merge(delta);
            totals.write(&mut writer);
        }
        None => delta.write(&mut writer),
    }
    writer.done()
}

/// The sections that fit, those added to most lately first.
fn fitting(sections: Vec<Section<'_>>) -> Vec<Section<'_>> {
    const ENTRY: usize = LONGEST_NAME + 40;
    let mut sections = sorted_by(sections, |a, b| b.added.cmp(&a.added));
    sections.truncate(MOST_ROUTES);
    let mut bytes: usize = 0;
    let fits = |section: &Section<'_>| {
        bytes = bytes
            .saturating_add(section.body.len())
            .saturating_add(ENTRY);
        bytes <= MOST_BYTES
    };
    let count = sections.iter().map(fits).take_while(|fits| *fits).count();
    sections.truncate(count);
    sections
}

fn write(sections: Vec<Section<'_>>) -> Vec<u8> {
    let mut directory = Writer::default();
    directory.number(sections.len() as u64);
    sections
        .iter()
        .for_each(|section| section.describe(&mut directory));
    let directory = directory.done();
    let mut value = Writer::default();
    value.raw(MAGIC);
    value.raw(&murmur3_x86_32(&[&directory], 0).to_le_bytes());
    value.text(&directory);
    sections.iter().for_each(|section| value.raw(section.body));
    value.done()
}

/// All slots at one moment.
#[derive(Debug, Default)]
pub struct Reading<'b> {
    sections: Vec<Section<'b>>,
}

/// How often a route was added to, over all slots: equal if nothing came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes(u64);

impl<'b> Reading<'b> {
    /// The slots with these values; absent ones left out.
    pub fn of(values: impl IntoIterator<Item = &'b [u8]>) -> Self {
        let sections = values.into_iter().filter_map(Section::all).flatten();
        Self {
            sections: sections.collect(),
        }
    }

    fn of_route(&self, name: &str) -> impl Iterator<Item = &Section<'b>> {
        self.sections
            .iter()
            .filter(move |section| section.name == name)
    }

    /// How often `route` was added to.
    pub fn changes(&self, route: &str) -> Changes {
        let changes = self.of_route(route).map(|section| section.changes);
        Changes(changes.fold(0, u64::wrapping_add))
    }

    /// All that was counted of `route`.
    pub fn totals(&self, route: &str) -> Totals {
        let mut slots = self.of_route(route).filter_map(Section::totals);
        let mut totals = slots.next().unwrap_or_default();
        slots.for_each(|slot| totals.merge(&slot));
        totals
    }

    /// The routes that are known, each once, in the order of their names.
    pub fn routes(&self) -> Vec<&'b str> {
        distinct(self.sections.iter().map(|section| section.name))
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
