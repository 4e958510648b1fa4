//! All counters of one side of a route, as one run of numbers that only grow.
//!
//! Adding, subtracting and writing take the run as a whole, so that no counter can be forgotten in
//! one of them; the names below say which part of the run holds what. Numbers have 64 bits and
//! stop at their end.

use super::callers::{Caller, KEY_SLOTS};
use super::clock::Micros;
use super::latency::{BUCKETS, Latencies, bucket, value};
use super::outcome::{OUTCOMES, Outcome};
use crate::assign::decide::Reason;
use crate::assign::hash::murmur3_x86_32;
use crate::assign::share::Share;
use std::ops::Range;

/// Upstream hosts fall into this many groups, whose spread tells the gate what is noise.
pub const GROUPS: usize = 8;
/// Latency buckets of a group, the open last one included.
pub const COARSE: usize = 24;
/// Upper bounds of those buckets in milliseconds, about half an octave apart; the last is open.
///
/// They are what [`tick`](super::tick) tells the gate, and what its slow thresholds are chosen of.
pub const COARSE_BOUNDS_MS: [u64; COARSE - 1] = [
    1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1_000, 2_000, 3_000,
    5_000, 10_000, 30_000,
];

/// The coarse bucket of a latency, by the value that the fine histogram tells it as: so groups,
/// sides and the gate agree about every request.
pub fn coarse(took: Micros) -> usize {
    let told = value(bucket(took));
    COARSE_BOUNDS_MS.partition_point(|bound| bound.saturating_mul(1000) < told.0)
}

/// Callers fall into this many cohorts, whose goals the gate compares.
pub const COHORTS: usize = 8;

/// Places for reasons, a few of them free: a new reason goes to the end of [`Reason::ALL`], so that
/// those before it keep their places in what is stored.
const MOST_REASONS: usize = 16;

const OUTCOME: usize = 0;
const ATTEMPTS: usize = OUTCOME + OUTCOMES;
const RECEIVED: usize = ATTEMPTS + 1;
const SENT: usize = RECEIVED + 1;
const ASKED: usize = SENT + 1;
const DECIDED: usize = ASKED + 1;
const DRAWN: usize = DECIDED + MOST_REASONS;
const SLOT_REQUESTS: usize = DRAWN + KEY_SLOTS;
const SLOT_ERRORS: usize = SLOT_REQUESTS + KEY_SLOTS;
const GROUP_REQUESTS: usize = SLOT_ERRORS + KEY_SLOTS;
const GROUP_ERRORS: usize = GROUP_REQUESTS + GROUPS;
const GROUP_LATENCY: usize = GROUP_ERRORS + GROUPS;
const LATENCY: usize = GROUP_LATENCY + GROUPS * COARSE;
const COHORT_EXPOSURES: usize = LATENCY + BUCKETS;
const COHORT_CONVERSIONS: usize = COHORT_EXPOSURES + COHORTS;
/// How many counters a side has.
pub const CELLS: usize = COHORT_CONVERSIONS + COHORTS;

/// The counters of one side: 9 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters(Box<[u64]>);

impl Default for Counters {
    fn default() -> Self {
        Self(vec![0; CELLS].into_boxed_slice())
    }
}

/// A request of an experiment that the key gave its variant.
#[derive(Debug, Clone, Copy)]
pub struct Exposure {
    /// Who asked.
    pub caller: Caller,
    /// Whether it met the goal that the gate judges.
    pub converted: bool,
}

/// What is counted of one finished request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'h> {
    /// What it came to.
    pub outcome: Outcome,
    /// How long the version took ([`Ended::latency`](super::outcome::Ended::latency)).
    pub latency: Option<Micros>,
    /// How many times Envoy tried; 1 if it is not known.
    pub attempts: u32,
    /// Bytes from the caller and to it, if they are counted.
    pub bytes: Option<(u64, u64)>,
    /// Who asked.
    pub caller: Option<Caller>,
    /// The upstream host's address as Envoy gives it: `10.0.0.7:8080`, or a Unix socket's path.
    pub host: Option<&'h [u8]>,
    /// What an experiment makes of it.
    pub exposure: Option<Exposure>,
}

impl Counters {
    /// Counts a request.
    pub fn count(&mut self, request: &Request<'_>) {
        let outcome = request.outcome;
        self.add(OUTCOME.saturating_add(outcome.index()), 1);
        self.add(ATTEMPTS, u64::from(request.attempts));
        if let Some((received, sent)) = request.bytes {
            self.add(RECEIVED, received);
            self.add(SENT, sent);
        }
        if let Some(exposure) = request.exposure {
            let cohort = exposure.caller.cohort();
            self.add(COHORT_EXPOSURES.saturating_add(cohort), 1);
            let converted = u64::from(exposure.converted);
            self.add(COHORT_CONVERSIONS.saturating_add(cohort), converted);
        }
        if !outcome.is_judged() {
            return;
        }
        let error = u64::from(outcome.is_error());
        if let Some(caller) = request.caller {
            self.add(SLOT_REQUESTS.saturating_add(caller.slot()), 1);
            self.add(SLOT_ERRORS.saturating_add(caller.slot()), error);
        }
        let group = request.host.map(group);
        if let Some(group) = group {
            self.add(GROUP_REQUESTS.saturating_add(group), 1);
            self.add(GROUP_ERRORS.saturating_add(group), error);
        }
        if let Some(took) = request.latency {
            self.add(LATENCY.saturating_add(bucket(took)), 1);
            if let Some(group) = group {
                let first = GROUP_LATENCY.saturating_add(group.saturating_mul(COARSE));
                self.add(first.saturating_add(coarse(took)), 1);
            }
        }
    }

    /// Counts a decision for this side.
    pub fn decide(&mut self, reason: Reason) {
        let place = Reason::ALL.iter().position(|known| *known == reason);
        if let Some(place) = place.filter(|place| *place < MOST_REASONS) {
            self.add(DECIDED.saturating_add(place), 1);
        }
    }

    /// Counts a draw that asked for this side with `share`, and whether it `got` it.
    pub fn draw(&mut self, caller: Caller, share: Share, got: bool) {
        self.add(ASKED, u64::from(share.ppm()));
        if got {
            self.add(DRAWN.saturating_add(caller.slot()), 1);
        }
    }

    fn add(&mut self, place: usize, more: u64) {
        if let Some(counter) = self.0.get_mut(place) {
            *counter = counter.saturating_add(more);
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (counter, more) in self.0.iter_mut().zip(&other.0) {
            *counter = counter.saturating_add(*more);
        }
    }

    /// What came since `earlier`; nothing if any counter is smaller now: some were lost.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        let pairs = self.0.iter().zip(&earlier.0);
        let run: Option<Box<[u64]>> = pairs.map(|(now, then)| now.checked_sub(*then)).collect();
        run.map(Self)
    }

    /// Back to 0, without giving up the memory.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|counter| *counter == 0)
    }

    /// The run, to be written.
    pub fn run(&self) -> &[u64] {
        &self.0
    }

    /// The run, to be read into.
    pub fn run_mut(&mut self) -> &mut [u64] {
        &mut self.0
    }

    fn part(&self, range: Range<usize>) -> &[u64] {
        self.0.get(range).unwrap_or_default()
    }

    fn one(&self, place: usize) -> u64 {
        self.0.get(place).copied().unwrap_or(0)
    }

    /// Requests by outcome, in the order of [`Outcome::ALL`].
    pub fn outcomes(&self) -> &[u64] {
        self.part(OUTCOME..ATTEMPTS)
    }

    /// Requests of one outcome.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.one(OUTCOME.saturating_add(outcome.index()))
    }

    /// Requests that say something of the version: fine, slow or errors.
    pub fn judged(&self) -> u64 {
        self.sum(Outcome::is_judged)
    }

    /// Errors of all classes.
    pub fn errors(&self) -> u64 {
        self.sum(Outcome::is_error)
    }

    fn sum(&self, which: fn(Outcome) -> bool) -> u64 {
        let chosen = Outcome::ALL.into_iter().filter(|outcome| which(*outcome));
        chosen.fold(0, |sum, outcome| sum.saturating_add(self.of(outcome)))
    }

    /// Tries of Envoy's.
    pub fn attempts(&self) -> u64 {
        self.one(ATTEMPTS)
    }

    /// Bytes from callers and to them.
    pub fn bytes(&self) -> (u64, u64) {
        (self.one(RECEIVED), self.one(SENT))
    }

    /// The sum of the shares asked at each draw, in parts per million.
    pub fn asked(&self) -> u64 {
        self.one(ASKED)
    }

    /// Decisions for this side, by reason.
    pub fn decisions(&self) -> impl Iterator<Item = (Reason, u64)> {
        let counts = self.part(DECIDED..DRAWN).iter().copied();
        Reason::ALL.into_iter().zip(counts)
    }

    /// Draws that fell on this side, by key slot.
    pub fn drawn(&self) -> &[u64] {
        self.part(DRAWN..SLOT_REQUESTS)
    }

    /// Judged requests by key slot.
    pub fn slot_requests(&self) -> &[u64] {
        self.part(SLOT_REQUESTS..SLOT_ERRORS)
    }

    /// Errors by key slot.
    pub fn slot_errors(&self) -> &[u64] {
        self.part(SLOT_ERRORS..GROUP_REQUESTS)
    }

    /// Judged requests by group of hosts.
    pub fn group_requests(&self) -> &[u64] {
        self.part(GROUP_REQUESTS..GROUP_ERRORS)
    }

    /// Errors by group of hosts.
    pub fn group_errors(&self) -> &[u64] {
        self.part(GROUP_ERRORS..GROUP_LATENCY)
    }

    /// Latencies of each group, [`COARSE`] buckets each.
    pub fn group_latencies(&self) -> impl Iterator<Item = &[u64]> {
        self.part(GROUP_LATENCY..LATENCY).chunks(COARSE)
    }

    /// Latencies of all judged requests.
    pub fn latencies(&self) -> Latencies<'_> {
        Latencies(self.part(LATENCY..COHORT_EXPOSURES))
    }

    /// Exposures that ended, by cohort.
    pub fn cohort_exposures(&self) -> &[u64] {
        self.part(COHORT_EXPOSURES..COHORT_CONVERSIONS)
    }

    /// Those that met the goal, by cohort.
    pub fn cohort_conversions(&self) -> &[u64] {
        self.part(COHORT_CONVERSIONS..CELLS)
    }
}

/// The group of a host, by a hash of its address.
fn group(host: &[u8]) -> usize {
    const _: () = assert!(GROUPS.is_power_of_two());
    murmur3_x86_32(&[host], 0) as usize & (GROUPS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::outcome::ErrorClass;

    fn request(outcome: Outcome, latency: u64) -> Request<'static> {
        Request {
            outcome,
            latency: Some(Micros(latency)),
            attempts: 2,
            bytes: Some((10, 100)),
            caller: Some(Caller::of(b"u")),
            host: Some(b"10.0.0.7:80"),
            exposure: None,
        }
    }

    #[test]
    fn a_request_is_counted_once_wherever_it_belongs() {
        let mut counters = Counters::default();
        counters.count(&request(Outcome::Ok, 900));
        counters.count(&request(Outcome::Error(ErrorClass::Timeout), 15_000_000));
        assert_eq!((counters.judged(), counters.errors()), (2, 1));
        assert_eq!(counters.of(Outcome::Error(ErrorClass::Timeout)), 1);
        assert_eq!(counters.attempts(), 4);
        assert_eq!(counters.bytes(), (20, 200));
        assert_eq!(counters.latencies().total(), 2);
        assert_eq!(counters.slot_requests()[Caller::of(b"u").slot()], 2);
        assert_eq!(counters.slot_errors().iter().sum::<u64>(), 1);
        assert_eq!(counters.group_requests().iter().sum::<u64>(), 2);
        assert_eq!(counters.group_errors().iter().sum::<u64>(), 1);
        let group = counters
            .group_latencies()
            .find(|group| group.iter().sum::<u64>() == 2);
        assert_eq!(group.unwrap()[COARSE - 2], 1, "15 s is at most 30 s");
        assert_eq!(counters.group_latencies().count(), GROUPS);
    }

    #[test]
    fn who_left_or_was_refused_counts_for_neither_side() {
        let mut counters = Counters::default();
        counters.count(&request(Outcome::Aborted, 900));
        counters.count(&request(Outcome::Refused, 900));
        assert_eq!((counters.judged(), counters.errors()), (0, 0));
        assert_eq!(counters.of(Outcome::Aborted), 1);
        assert_eq!(counters.latencies().total(), 0);
        assert_eq!(counters.slot_requests().iter().sum::<u64>(), 0);
        assert_eq!(counters.group_requests().iter().sum::<u64>(), 0);
    }

    #[test]
    fn an_exposure_counts_however_it_ended_and_a_conversion_with_it() {
        let mut counters = Counters::default();
        let caller = Caller(0x6000_0000);
        for (outcome, converted) in [
            (Outcome::Ok, true),
            (Outcome::Aborted, false),
            (Outcome::Error(ErrorClass::Timeout), false),
        ] {
            counters.count(&Request {
                exposure: Some(Exposure { caller, converted }),
                ..request(outcome, 900)
            });
        }
        counters.count(&request(Outcome::Ok, 900));
        assert_eq!(counters.cohort_exposures()[3], 3);
        assert_eq!(counters.cohort_exposures().iter().sum::<u64>(), 3);
        assert_eq!(counters.cohort_conversions()[3], 1);
        assert_eq!(counters.latencies().total(), 3);
    }

    #[test]
    fn coarse_buckets_hold_what_is_at_most_their_bound() {
        assert_eq!(coarse(Micros(0)), 0);
        assert_eq!(coarse(Micros(970)), 0);
        assert_eq!(coarse(Micros(1_030)), 1);
        assert_eq!(coarse(Micros(29_000_000)), COARSE - 2);
        assert_eq!(coarse(Micros(u64::MAX)), COARSE - 1);
    }

    #[test]
    fn reasons_keep_their_places_in_what_is_stored() {
        let words: Vec<&str> = Reason::ALL.iter().map(|reason| reason.word()).collect();
        let first = [
            "no-policy",
            "no-route",
            "no-key",
            "rule",
            "carried",
            "share",
            "rest",
            "gate-shut",
            "gate-probing",
        ];
        assert_eq!(words[..first.len()], first);
        assert!(words.len() <= MOST_REASONS);
        let mut counters = Counters::default();
        counters.decide(Reason::Rest);
        let decided: Vec<_> = counters
            .decisions()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(decided, [(Reason::Rest, 1)]);
    }

    #[test]
    fn counters_that_went_backward_have_no_difference() {
        let mut now = Counters::default();
        now.count(&request(Outcome::Ok, 900));
        let earlier = Counters::default();
        assert_eq!(now.since(&earlier).as_ref(), Some(&now));
        assert_eq!(earlier.since(&now), None);
        assert!(now.since(&now).unwrap().is_empty());
    }
}
