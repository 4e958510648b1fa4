//! What is known about one route: counts for each path, and which paths were found worse.

use super::label::{Counts, log_mean};
use super::odd_one::Coin;
use super::{MAX_NAME, MAX_PATHS, PathReport, Report, Rule, Verdict};
use crate::shadow::compare::{Comparison, Kind};
use crate::shadow::crc32::crc32;
use crate::sorted::sorted_by;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Whose answers a comparison was between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pair {
    /// Stable's and the candidate's.
    Raw,
    /// Stable's and stable's.
    Noise,
}

/// The counts of one (path, kind).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Track {
    pub(super) raw: u64,
    pub(super) noise: u64,
    pub(super) coin: Coin,
    /// The threshold was reached at some look, which stays true.
    pub(super) worse: bool,
}

/// How a path takes part in the union bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// The status, or the gRPC status.
    Quarter,
    /// The path that appeared as the n-th, from 1.
    Rank(usize),
    /// All paths past the bound.
    Beyond,
}

impl Share {
    fn weight(self) -> f64 {
        // The paths' half: the tracked ones and the shared count, which is the last.
        let even = 0.25 / (MAX_PATHS as f64 + 1.0);
        match self {
            Self::Quarter => 0.25,
            Self::Rank(rank) => 0.25 / (rank as f64 * (rank as f64 + 1.0)) + even,
            Self::Beyond => even,
        }
    }
}

/// The evidence about one route; see the module for what it is evidence of.
///
/// Its memory is bounded by [`MAX_PATHS`] names of [`MAX_NAME`] bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// What it is about; see [`Rule::about`].
    pub(super) about: [u64; 2],
    pub(super) raw: u64,
    pub(super) noise: u64,
    pub(super) confirming: u64,
    /// Sampled pairs that were not compared because of whom the call went to.
    pub(super) lost_raw: u64,
    pub(super) lost_noise: u64,
    pub(super) tracks: BTreeMap<(String, Kind), (Share, Track)>,
    pub(super) beyond: Track,
}

impl Evidence {
    /// No evidence yet, for `rule`.
    pub fn new(rule: &Rule) -> Self {
        Self {
            about: rule.about(),
            raw: 0,
            noise: 0,
            confirming: 0,
            lost_raw: 0,
            lost_noise: 0,
            tracks: BTreeMap::new(),
            beyond: Track::default(),
        }
    }

    /// Whether it is about what `rule` is about.
    pub fn is_about(&self, rule: &Rule) -> bool {
        self.about == rule.about()
    }

    /// Counts one comparison.
    pub fn observe(&mut self, pair: Pair, comparison: &Comparison) {
        count(pair, &mut self.raw, &mut self.noise);
        let mut beyond = comparison.unnamed > 0;
        for difference in &comparison.differences {
            match self.track(&difference.path, difference.kind) {
                Some(track) => count(pair, &mut track.raw, &mut track.noise),
                None => beyond = true,
            }
        }
        if beyond {
            count(pair, &mut self.beyond.raw, &mut self.beyond.noise);
        }
    }

    /// Counts a pair that was sampled and not compared because of whom the call went to: no host,
    /// no connection. Leaving it out would break the coin, since one version's pairs are lost more
    /// often than the other's; so it counts as what speaks least for a regression. A lost raw pair
    /// showed no difference, a lost noise pair every one. What the label evidence is then a bound
    /// of stays a supermartingale, at any rates of loss.
    pub fn lose(&mut self, pair: Pair) {
        count(pair, &mut self.lost_raw, &mut self.lost_noise);
    }

    /// Whether a further answer from stable could tell something about a raw pair.
    pub fn is_open(&self, raw: &Comparison) -> bool {
        let open = |path: &str, kind: Kind| match self.tracks.get(&(name(path).into_owned(), kind))
        {
            Some((_, track)) => track.coin.is_open(),
            None => self.has_room(kind),
        };
        let mut differences = raw.differences.iter();
        differences.any(|of| open(&of.path, of.kind) || open(&of.path, of.kind.mirrored()))
    }

    /// Counts one confirming call: what a raw pair differed in, and how stable's further answer
    /// compares with stable's first (as left) and with the candidate's (as right).
    pub fn confirm(
        &mut self,
        raw: &Comparison,
        stable_again: &Comparison,
        again_candidate: &Comparison,
    ) {
        self.confirming = self.confirming.saturating_add(1);
        for difference in &raw.differences {
            let (path, kind) = (difference.path.as_str(), difference.kind);
            let found = (
                stable_again.has(path, kind),
                again_candidate.has(path, kind),
            );
            let kind = if found == (true, false) {
                kind.mirrored()
            } else {
                kind
            };
            let Some(track) = self.track(path, kind) else {
                continue;
            };
            let side = match found {
                (false, true) => &mut track.coin.candidate,
                (true, false) => &mut track.coin.stable,
                _ => &mut track.coin.neither,
            };
            *side = side.saturating_add(1);
        }
    }

    fn has_room(&self, kind: Kind) -> bool {
        let apart = |kind: Kind| matches!(kind, Kind::Status | Kind::Trailer);
        apart(kind) || self.ranked() < MAX_PATHS
    }

    fn ranked(&self) -> usize {
        let ranked = |(share, _): &&(Share, Track)| matches!(share, Share::Rank(_));
        self.tracks.values().filter(ranked).count()
    }

    /// The counts of a path, which gets the next rank if it is new; `None` if there is no room.
    pub(super) fn track(&mut self, path: &str, kind: Kind) -> Option<&mut Track> {
        let key = (name(path).into_owned(), kind);
        if !self.tracks.contains_key(&key) {
            if !self.has_room(kind) {
                return None;
            }
            let share = match kind {
                Kind::Status | Kind::Trailer => Share::Quarter,
                _ => Share::Rank(self.ranked().saturating_add(1)),
            };
            self.tracks.insert(key.clone(), (share, Track::default()));
        }
        self.tracks.get_mut(&key).map(|(_, track)| track)
    }

    /// Adds what `now` has counted since it was `base`.
    ///
    /// New paths get their ranks in the order in which `now` saw them; of one for which there is
    /// no room the counts are dropped (from then on it is counted with the others past the bound).
    pub(super) fn absorb(&mut self, now: &Self, base: &Self) {
        add(&mut self.raw, now.raw, base.raw);
        add(&mut self.noise, now.noise, base.noise);
        add(&mut self.confirming, now.confirming, base.confirming);
        add(&mut self.lost_raw, now.lost_raw, base.lost_raw);
        add(&mut self.lost_noise, now.lost_noise, base.lost_noise);
        self.beyond.absorb(&now.beyond, &base.beyond);
        for ((path, kind), track) in now.in_order() {
            let before = base
                .tracks
                .get(&(path.clone(), *kind))
                .map(|(_, track)| *track);
            if let Some(own) = self.track(path, *kind) {
                own.absorb(track, &before.unwrap_or_default());
            }
        }
    }

    /// The paths in the order of their ranks.
    pub(super) fn in_order(&self) -> Vec<(&(String, Kind), &Track)> {
        let rank = |share: &Share| match share {
            Share::Rank(rank) => *rank,
            _ => 0,
        };
        let tracks = sorted_by(&self.tracks, |(_, (a, _)), (_, (b, _))| {
            rank(a).cmp(&rank(b))
        });
        tracks
            .into_iter()
            .map(|(key, (_, track))| (key, track))
            .collect()
    }

    /// Marks the paths whose evidence has reached the threshold.
    pub fn judge(&mut self, rule: &Rule) {
        let raw = self.raw.saturating_add(self.lost_raw);
        let noise = self.noise.saturating_add(self.lost_noise);
        let lost_noise = self.lost_noise;
        let beyond = (Share::Beyond, &mut self.beyond);
        let tracks = self
            .tracks
            .values_mut()
            .map(|(share, track)| (*share, track));
        for (share, track) in tracks.chain([beyond]) {
            // Evidence grows with these two alone, so without them there is none to look at.
            if track.worse || (track.raw == 0 && track.coin.candidate == 0) {
                continue;
            }
            let counts = Counts {
                raw,
                noise,
                raw_with: track.raw,
                noise_with: track.noise.saturating_add(lost_noise),
            };
            let label = rule.grid.log_evidence(counts);
            let both = [(0.5, label), (0.5, track.coin.log_evidence())];
            let confirmed = rule.settings.confirm_per_raw.is_some() && share != Share::Beyond;
            let evidence = if confirmed {
                log_mean(both.into_iter())
            } else {
                label
            };
            track.worse = evidence >= rule.threshold(share.weight());
        }
    }

    /// The verdict, by what [`Evidence::judge`] marked.
    pub fn report(&self, rule: &Rule) -> Report<'_> {
        let tracks = self
            .tracks
            .iter()
            .map(|((path, kind), (_, track))| (Some((path.as_str(), *kind)), track));
        let paths: Vec<_> = tracks
            .chain([(None, &self.beyond)])
            .filter(|(_, track)| track.raw > 0 || track.noise > 0)
            .map(|(at, track)| PathReport {
                at,
                raw: track.raw,
                noise: track.noise,
                worse: track.worse,
            })
            .collect();
        let enough = rule.settings.min_pairs;
        let verdict = if self.beyond.worse || self.tracks.values().any(|(_, track)| track.worse) {
            Verdict::Fail
        } else if self.raw < enough || self.noise < enough {
            Verdict::Hold
        } else {
            Verdict::Pass
        };
        let (raw, noise, confirming) = (self.raw, self.noise, self.confirming);
        Report {
            verdict,
            raw,
            noise,
            confirming,
            paths,
        }
    }
}

impl Track {
    fn absorb(&mut self, now: &Self, base: &Self) {
        add(&mut self.raw, now.raw, base.raw);
        add(&mut self.noise, now.noise, base.noise);
        add(
            &mut self.coin.candidate,
            now.coin.candidate,
            base.coin.candidate,
        );
        add(&mut self.coin.stable, now.coin.stable, base.coin.stable);
        add(&mut self.coin.neither, now.coin.neither, base.coin.neither);
        self.worse |= now.worse;
    }
}

fn count(pair: Pair, raw: &mut u64, noise: &mut u64) {
    let counter = match pair {
        Pair::Raw => raw,
        Pair::Noise => noise,
    };
    *counter = counter.saturating_add(1);
}

fn add(counter: &mut u64, now: u64, base: u64) {
    *counter = counter.saturating_add(now.saturating_sub(base));
}

/// The name under which a path is kept.
fn name(path: &str) -> Cow<'_, str> {
    if path.len() <= MAX_NAME {
        return Cow::Borrowed(path);
    }
    // Room for the sign of omission (3 bytes) and the checksum (8).
    let end = path.floor_char_boundary(MAX_NAME.saturating_sub(11));
    let start = path.get(..end).unwrap_or_default();
    Cow::Owned(format!("{start}…{:08x}", crc32(path.as_bytes())))
}
