//! Is the canary worse than stable at the same time, on the same proxy, on the same callers?
//!
//! Each question (errors, slow by three thresholds, differences, conversions) is a [`Watch`] of its
//! own; they share nothing but the false alarms they are allowed. One step takes the counts of one
//! tick of both sides, in this order:
//!
//! | file | idea |
//! | --- | --- |
//! | `slow` | what is slow, learned from stable |
//! | `keycap` | one caller's retries do not count |
//! | `cohorts` | nor do one caller's requests that buy nothing |
//! | `dispersion` | how much noisier than dice the route is |
//! | `blocks` | ticks become blocks |
//! | `evidence` | blocks become odds; odds of a month shut |
//! | `trip` | a canary that fails outright shuts in a second |
//! | `power` | whether silence means anything |
//!
//! A canary whose callers err more than stable's by nature is shut from about 1.3 times on: set
//! the tolerance to 1.2 times that ratio.

pub mod blocks;
pub mod cohorts;
pub mod dispersion;
pub mod evidence;
pub mod keycap;
pub mod power;
pub mod sample;
pub mod slow;
pub mod trip;
pub mod watch;

use super::input::{COHORTS, Canary, Counts, GROUPS, Group, Stable};
use super::settings::{Settings, SlowCounts};
use super::words::{Reason, Signal};
use cohorts::Cohorts;
use dispersion::Dispersion;
use evidence::Direction;
use keycap::KeyCap;
use sample::{Pair, Sample};
use serde::{Deserialize, Serialize};
use slow::{Learner, Tail};
use trip::Trip;
use watch::{Question, Terms, Watch};

const ERRORS: Question = Question {
    direction: Direction::Rise,
    least_excess: 0.0005,
};
const SLOWEST: Question = Question {
    direction: Direction::Rise,
    least_excess: 0.001,
};
const SLOW: Question = Question {
    direction: Direction::Rise,
    least_excess: 0.002,
};
const SLOW90: Question = Question {
    direction: Direction::Rise,
    least_excess: 0.005,
};
const DIFFS: Question = Question {
    direction: Direction::Rise,
    least_excess: 0.002,
};
/// Rates of conversions may be as low as one in a thousand requests, so that no least difference can
/// be told; what is tolerated is relative.
const CONVERSIONS: Question = Question {
    direction: Direction::Drop,
    least_excess: 0.0,
};
/// A drop of 5 % is tolerated: what a release costs in conversions is no matter of taste, as slowness
/// is, so that the policy's `tolerance` is for the others.
const TOLERATED_DROP: f64 = 1.0 / 0.95;

/// A canary's few errors may all be one host's: their spread is carried over undiminished. A
/// pause that makes requests slow is a host's, and a quieter host has fewer in it.
const ERRORS_CARRY: f64 = 1.0;
const SLOW_CARRY: f64 = 0.25;

/// The counts of one tick as the questions see them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Readings {
    /// The canary's without what the key cap refused.
    pub errors: Pair,
    /// Beyond stable's 0.15 %.
    pub slowest: Pair,
    /// Beyond stable's 1.5 %.
    pub slow: Pair,
    /// Beyond stable's 10 %.
    pub slow90: Pair,
    /// Pairs of shadow answers.
    pub diffs: Pair,
    /// Goals met, as the cohorts admit them.
    pub conversions: Pair,
    /// How much noisier than dice they are.
    pub conversions_phi: f64,
}

/// What the detector found against the canary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// Which signal.
    pub signal: Option<Signal>,
    /// Why it counts.
    pub reason: Reason,
    /// The counts of both sides that it rests on.
    pub evidence: Pair,
}

/// The detector's memory for one route and variant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    learner: Learner,
    cap: KeyCap,
    cohorts: Cohorts,
    noise: Noise,
    trip: Trip,
    errors: Watch,
    slowest: Watch,
    slow: Watch,
    slow90: Watch,
    diffs: Watch,
    conversions: Watch,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Noise {
    errors: Dispersion,
    slow: Dispersion,
    slow90: Dispersion,
    conversions: Dispersion,
}

impl Noise {
    fn learn(
        &mut self,
        stable: &Stable,
        admitted: Option<&[Sample; COHORTS]>,
        canary: f64,
        seconds: f64,
    ) {
        let n = stable.counts.requests as f64;
        let learn = |noise: &mut Dispersion, part: fn(&Group) -> u64| {
            let mut hosts = [Sample::default(); GROUPS];
            for (host, group) in hosts.iter_mut().zip(&stable.groups) {
                // A request may be counted before its outcome is: never more outcomes than requests.
                let k = part(group);
                *host = Sample::of(group.requests.max(k), k);
            }
            noise.learn(&hosts, canary, n, seconds);
        };
        learn(&mut self.errors, |group| group.errors);
        learn(&mut self.slow, |group| group.slow);
        learn(&mut self.slow90, |group| group.slow90);
        let Some(admitted) = admitted else {
            learn(&mut self.conversions, |group| group.conversions);
            return;
        };
        self.conversions.learn(admitted, canary, n, seconds);
    }
}

fn worse(signal: Signal, watch: &Watch) -> Finding {
    Finding {
        signal: Some(signal),
        reason: Reason::Worse,
        evidence: watch.since(),
    }
}

impl Detector {
    /// Learns from stable alone what is noise and what is slow; `canary` is its requests, for the
    /// ratio of traffic.
    pub fn learn(&mut self, settings: &Settings, stable: &Stable, canary: f64, seconds: f64) {
        let cohorts = stable.counts.cohorts.as_ref();
        let admitted = cohorts.map(|cohorts| self.cohorts.stable(cohorts, seconds));
        self.noise.learn(stable, admitted.as_ref(), canary, seconds);
        let moved = self.learner.learn(
            &stable.counts.latency,
            settings.latency_bounds_ms.len(),
            seconds,
        );
        if moved.farthest {
            self.slowest.forget();
        }
        if settings.slow == SlowCounts::FromLatency {
            if moved.far {
                self.slow.forget();
            }
            if moved.near {
                self.slow90.forget();
            }
        }
    }

    /// Turns a tick of both sides into what the questions look at.
    pub fn read(
        &mut self,
        settings: &Settings,
        stable: &Stable,
        canary: &Canary,
        seconds: f64,
    ) -> Readings {
        let (s, c) = (&stable.counts, &canary.counts);
        let pair = |k: fn(&Counts) -> u64| Pair {
            stable: Sample::of(s.requests, k(s)),
            canary: Sample::of(c.requests, k(c)),
        };
        let mut errors = pair(|counts| counts.errors);
        errors.canary = self.cap.admit(errors.canary, &canary.slots, seconds);
        let conversions = match (&s.cohorts, &c.cohorts) {
            (Some(of_stable), Some(of_canary)) => Pair {
                stable: cohorts::sum(&self.cohorts.of_stable(of_stable)),
                canary: cohorts::sum(&self.cohorts.canary(of_canary, seconds)),
            },
            _ => {
                // What a storm asks in vain converts nobody, and would look like a drop.
                let mut conversions = pair(|counts| counts.conversions);
                conversions.canary.n = errors.canary.n.max(conversions.canary.k);
                conversions
            }
        };
        let (slow, slow90) = match settings.slow {
            SlowCounts::Counted => (pair(|counts| counts.slow), pair(|counts| counts.slow90)),
            SlowCounts::FromLatency => {
                (self.beyond(Tail::Far, s, c), self.beyond(Tail::Near, s, c))
            }
        };
        Readings {
            errors,
            slowest: self.beyond(Tail::Farthest, s, c),
            slow,
            slow90,
            diffs: Pair {
                stable: Sample::of(s.shadowed, s.diffs),
                canary: Sample::of(c.shadowed, c.diffs),
            },
            conversions,
            conversions_phi: self.noise.conversions.phi(ERRORS_CARRY),
        }
    }

    /// Empty while the threshold is not known, which holds the signal.
    fn beyond(&self, tail: Tail, stable: &Counts, canary: &Counts) -> Pair {
        let side = |counts: &Counts| {
            let all = counts
                .latency
                .iter()
                .fold(0_u64, |sum, n| sum.saturating_add(*n));
            self.learner
                .beyond(tail, &counts.latency)
                .map_or_else(Sample::default, |k| Sample::of(all, k))
        };
        Pair {
            stable: side(stable),
            canary: side(canary),
        }
    }

    /// Weighs a tick; the first signal that is beyond doubt, a failing canary before all.
    pub fn judge(
        &mut self,
        settings: &Settings,
        readings: &Readings,
        seconds: f64,
    ) -> Option<Finding> {
        let on = settings.signals;
        let terms = settings.terms();
        let mut found = None;
        if on.errors {
            found = self.judge_errors(readings, seconds, terms);
        }
        if on.slow {
            found = found.or(self.judge_slow(readings, seconds, terms));
        }
        if on.diffs {
            let diffs = &mut self.diffs;
            let is_worse = diffs.learn(readings.diffs, seconds, 1.0, DIFFS, terms);
            found = found.or(is_worse.then(|| worse(Signal::Diffs, diffs)));
        }
        if on.conversions {
            let phi = readings.conversions_phi;
            let terms = Terms {
                tolerance: TOLERATED_DROP,
                ..terms
            };
            let goals = &mut self.conversions;
            let is_worse = goals.learn(readings.conversions, seconds, phi, CONVERSIONS, terms);
            found = found.or(is_worse.then(|| worse(Signal::Conversions, goals)));
        }
        found
    }

    fn judge_errors(&mut self, readings: &Readings, seconds: f64, terms: Terms) -> Option<Finding> {
        let phi = self.noise.errors.phi(ERRORS_CARRY);
        let errors = &mut self.errors;
        let is_worse = errors.learn(readings.errors, seconds, phi, ERRORS, terms);
        let failing = self.trip.learn(readings.errors, phi, seconds);
        failing
            .map(|window| Finding {
                signal: Some(Signal::Errors),
                reason: Reason::Failing,
                evidence: window,
            })
            .or(is_worse.then(|| worse(Signal::Errors, errors)))
    }

    fn judge_slow(&mut self, readings: &Readings, seconds: f64, terms: Terms) -> Option<Finding> {
        // The hosts' spread is not known beyond the 1.5 %, where with fewer events it is less.
        let far = self.noise.slow.phi(SLOW_CARRY);
        let near = self.noise.slow90.phi(SLOW_CARRY);
        let mut found = None;
        for (watch, pair, phi, question) in [
            (&mut self.slowest, readings.slowest, far, SLOWEST),
            (&mut self.slow, readings.slow, far, SLOW),
            (&mut self.slow90, readings.slow90, near, SLOW90),
        ] {
            let is_worse = watch.learn(pair, seconds, phi, question, terms);
            found = found.or(is_worse.then(|| worse(Signal::Slow, watch)));
        }
        found
    }

    /// Drops all evidence, and keeps what is known of stable and of the callers.
    pub fn forget_evidence(&mut self) {
        self.trip = Trip::default();
        for watch in [
            &mut self.errors,
            &mut self.slowest,
            &mut self.slow,
            &mut self.slow90,
            &mut self.diffs,
            &mut self.conversions,
        ] {
            watch.forget();
        }
    }

    /// Drops all that is known of the canary and its callers, and keeps what is known of stable.
    pub fn forget_canary(&mut self) {
        self.forget_evidence();
        self.cap = KeyCap::default();
        self.cohorts.forget_canary();
    }

    /// Whether a bad canary would have been noticed on every signal that is judged here. A signal
    /// nobody counts (no shadow pairs, no goals) is not asked.
    #[must_use]
    pub fn would_have_noticed(&self, settings: &Settings) -> bool {
        let threshold = settings.terms().threshold;
        let on = settings.signals;
        let counted = |watch: &Watch, least: f64| watch.recent().stable.k > least;
        [
            (on.errors, &self.errors),
            (
                on.slow && self.learner.threshold(Tail::Farthest).is_some(),
                &self.slowest,
            ),
            (on.slow, &self.slow),
            (on.slow, &self.slow90),
            (on.diffs && self.diffs.recent().canary.n > 0.0, &self.diffs),
            (
                on.conversions && counted(&self.conversions, 0.0),
                &self.conversions,
            ),
        ]
        .into_iter()
        .all(|(asked, watch)| !asked || watch.suffices(threshold))
    }

    /// ln of the odds that the canary is worse, per signal; slow is the largest of its three.
    #[must_use]
    pub fn log_odds(&self, signal: Signal) -> f64 {
        match signal {
            Signal::Errors => self.errors.log_odds(),
            Signal::Slow => [&self.slowest, &self.slow, &self.slow90]
                .into_iter()
                .map(Watch::log_odds)
                .fold(f64::NEG_INFINITY, f64::max),
            Signal::Diffs => self.diffs.log_odds(),
            Signal::Conversions => self.conversions.log_odds(),
        }
    }

    /// The learned thresholds of slow, far then near, as indices of the last bucket that is not
    /// slow. Workers that count slow requests for [`SlowCounts::Counted`] take theirs from here.
    #[must_use]
    pub fn slow_thresholds(&self) -> (Option<usize>, Option<usize>) {
        (
            self.learner.threshold(Tail::Far),
            self.learner.threshold(Tail::Near),
        )
    }
}
