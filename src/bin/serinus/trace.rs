//! Traces of ticks, as `serinus judge` reads them: JSON Lines, the first of them the header.
//!
//! A count that is negative, broken or beyond 2^53 makes its side unusable and the tick is held;
//! what is no JSON of this shape is refused with its line.

use serde::Deserialize;
use serinus::gate::input::{BUCKETS, GROUPS, KEY_SLOTS};
use serinus::gate::{At, Canary, Counts, Group, KeySlot, Ppm, Settings, SlowCounts, Stable, Tick};
use std::time::Duration;

/// The fields of a header that are read; all may be absent.
#[derive(Debug, Default, Deserialize)]
pub struct Header {
    tick_ms: Option<f64>,
    share_ppm: Option<f64>,
    grace_s: Option<f64>,
    slow_ms: Option<f64>,
    slow90_ms: Option<f64>,
    latency_le_ms: Option<Vec<Edge>>,
}

/// A bucket's upper bound: a number, or "inf" for the last one.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Edge {
    Ms(f64),
    Open(String),
}

#[derive(Deserialize)]
struct Line {
    t: f64,
    share_ppm: Option<f64>,
    stable: Option<Side>,
    canary: Option<Side>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Side {
    n: f64,
    errors: f64,
    slow: Option<f64>,
    slow90: Option<f64>,
    conversions: f64,
    shadowed: f64,
    diffs: f64,
    latency: Vec<f64>,
    groups: Vec<Vec<f64>>,
    slot_n: Vec<f64>,
    err_slots: Vec<(f64, f64)>,
}

/// What the header says about how to read the ticks.
#[derive(Debug)]
pub struct Reader {
    tick_ms: f64,
    share: Ppm,
    /// Indices of the first buckets beyond the two thresholds, for ticks without counts of slow.
    slow_from: [Option<usize>; 2],
}

impl Header {
    /// Reads a trace's first line; nothing if it is a tick already.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(line: &str) -> Result<Option<Header>, String> {
        #[derive(Deserialize)]
        struct Probe {
            t: Option<serde_json::Value>,
        }
        let probe: Probe = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if probe.t.is_some() {
            return Ok(None);
        }
        serde_json::from_str(line)
            .map(Some)
            .map_err(|error| error.to_string())
    }

    /// Lets the header beat the settings, and gives the reader of the ticks.
    ///
    /// # Errors
    /// Says which field makes no sense, and what to write instead.
    pub fn apply(&self, settings: &mut Settings) -> Result<Reader, String> {
        if let Some(ms) = self.tick_ms {
            if !(1.0..=3_600_000.0).contains(&ms) {
                return Err(format!(
                    "tick_ms: {ms} is no length of a tick; write 1 to 3600000"
                ));
            }
            settings.tick = Duration::from_secs_f64(ms / 1_000.0);
        }
        if let Some(seconds) = self.grace_s {
            settings.warmup = Duration::try_from_secs_f64(seconds)
                .map_err(|_| format!("grace_s: {seconds} is no time; write seconds from 0 up"))?;
        }
        if let Some(edges) = &self.latency_le_ms {
            settings.latency_bounds_ms = bounds(edges)?;
        }
        let share = self.share_ppm.map_or(Some(Ppm(0)), ppm).ok_or_else(|| {
            "share_ppm: no share; write parts per million, 0 to 1000000".to_owned()
        })?;
        settings.slow = match (self.slow_ms, self.slow90_ms) {
            (None, None) => SlowCounts::FromLatency,
            _ => SlowCounts::Counted,
        };
        let bounds = &settings.latency_bounds_ms;
        let from = |ms: Option<f64>| {
            let index = bounds.iter().position(|bound| Some(*bound) == ms)?;
            index.checked_add(1)
        };
        Ok(Reader {
            tick_ms: settings.tick.as_secs_f64() * 1_000.0,
            share,
            slow_from: [from(self.slow_ms), from(self.slow90_ms)],
        })
    }
}

fn bounds(edges: &[Edge]) -> Result<Vec<f64>, String> {
    let what = "latency_le_ms: write rising numbers, then \"inf\"";
    let mut bounds: Vec<f64> = Vec::new();
    for (left, edge) in (0..edges.len()).rev().zip(edges) {
        match edge {
            Edge::Ms(ms) if bounds.last().is_none_or(|last| ms > last) => bounds.push(*ms),
            Edge::Open(text) if text == "inf" && left == 0 => {}
            _ => return Err(what.to_owned()),
        }
    }
    if bounds.len() >= BUCKETS {
        return Err(format!("latency_le_ms: at most {BUCKETS} buckets"));
    }
    Ok(bounds)
}

impl Reader {
    /// Reads one tick. Gives its number beside it.
    ///
    /// # Errors
    /// Says what is wrong with the line.
    pub fn tick(&mut self, line: &str) -> Result<Option<(u64, Tick)>, String> {
        let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if let Some(share) = line.share_ppm.and_then(ppm) {
            self.share = share;
        }
        let Some(number) = whole(line.t) else {
            return Ok(None);
        };
        let at = whole((line.t * self.tick_ms).round());
        Ok(at.map(|at| {
            let tick = Tick {
                at: At(at),
                share: self.share,
                stable_share: Ppm(Ppm::ALL.0.saturating_sub(self.share.0)),
                stable: line.stable.and_then(|side| self.stable(&side)),
                canary: line.canary.and_then(|side| self.canary(&side)),
                shadow: None,
            };
            (number, tick)
        }))
    }

    fn stable(&self, side: &Side) -> Option<Stable> {
        let mut groups = [Group::default(); GROUPS];
        for (group, counts) in groups.iter_mut().zip(&side.groups) {
            let mut counts = counts.iter().map(|count| whole(*count));
            let mut next = || counts.next().unwrap_or(Some(0));
            *group = Group {
                requests: next()?,
                errors: next()?,
                slow: next()?,
                slow90: next()?,
                conversions: next()?,
            };
        }
        Some(Stable {
            counts: self.counts(side)?,
            groups,
        })
    }

    fn canary(&self, side: &Side) -> Option<Canary> {
        let mut slots = [KeySlot::default(); KEY_SLOTS];
        for (slot, count) in slots.iter_mut().zip(&side.slot_n) {
            slot.requests = whole(*count)?;
        }
        for (index, count) in &side.err_slots {
            let slot = slots.get_mut(usize::try_from(whole(*index)?).ok()?)?;
            slot.errors = whole(*count)?;
        }
        Some(Canary {
            counts: self.counts(side)?,
            slots,
        })
    }

    fn counts(&self, side: &Side) -> Option<Counts> {
        let mut latency = [0; BUCKETS];
        for (bucket, count) in latency.iter_mut().zip(&side.latency) {
            *bucket = whole(*count)?;
        }
        let [far, near] = self.slow_from;
        let beyond = |from: Option<usize>| {
            let skip = from.unwrap_or(BUCKETS);
            latency
                .iter()
                .skip(skip)
                .fold(0_u64, |sum, n| sum.saturating_add(*n))
        };
        let slow = |counted: Option<f64>, from| match counted {
            Some(count) => whole(count),
            None => Some(beyond(from)),
        };
        Some(Counts {
            requests: whole(side.n)?,
            errors: whole(side.errors)?,
            slow: slow(side.slow, far)?,
            slow90: slow(side.slow90, near)?,
            conversions: whole(side.conversions)?,
            cohorts: None,
            shadowed: whole(side.shadowed)?,
            diffs: whole(side.diffs)?,
            latency,
        })
    }
}

/// A share in parts per million.
fn ppm(number: f64) -> Option<Ppm> {
    let ppm = u32::try_from(whole(number)?).ok()?;
    (ppm <= Ppm::ALL.0).then_some(Ppm(ppm))
}

/// A whole number from 0 to 2^53, where floats are exact.
fn whole(number: f64) -> Option<u64> {
    let fits = (0.0..=9_007_199_254_740_992.0).contains(&number) && number.fract() == 0.0;
    fits.then_some(number as u64)
}
