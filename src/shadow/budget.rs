//! What copies may cost one worker, and when they are given up for a while.
//!
//! Three budgets for each route: calls under way, calls a second (a token bucket that holds a
//! second's worth, so that a burst may use at once what a second allows), and bytes held. Past one
//! of them a request is skipped, and counted; nothing waits.
//!
//! An upstream that fails or does not answer in time is left alone: each failure adds 2 to its
//! trouble and each answer takes 1 away, and at 10 it is off. So five failures in a row turn it off,
//! and so does any rate of failures that stays above a third. Off lasts a second, then one call is
//! let through; if it fails the wait doubles, up to a minute.
//!
//! Time comes from a wall clock that may be set. A step back gives no tokens and a step forward fills
//! the bucket; either ends a wait, which costs one probe.

use super::sample::Skipped;
use crate::bucket::Bucket;
pub use crate::bucket::Moment;

/// The budgets of one worker for one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls under way at once.
    pub in_flight: usize,
    /// Calls a second.
    pub per_second: u32,
    /// Bytes held of requests and answers.
    pub bytes: usize,
}

/// What is used of them.
#[derive(Debug, Clone)]
pub struct Budget {
    limits: Limits,
    in_flight: usize,
    bytes: usize,
    rate: Bucket,
}

impl Budget {
    /// Nothing is used.
    pub fn new(limits: Limits, now: Moment) -> Self {
        Self {
            limits,
            in_flight: 0,
            bytes: 0,
            rate: Bucket::new(limits.per_second, now),
        }
    }

    /// Takes one call out of the budgets, to be given back by [`Budget::end_call`].
    ///
    /// # Errors
    /// The budget that is used up; nothing was taken then.
    pub fn begin_call(&mut self, now: Moment) -> Result<(), Skipped> {
        if self.in_flight >= self.limits.in_flight {
            return Err(Skipped::InFlight);
        }
        if self.bytes >= self.limits.bytes {
            return Err(Skipped::Bytes);
        }
        if !self.rate.take(now) {
            return Err(Skipped::Rate);
        }
        self.in_flight = self.in_flight.saturating_add(1);
        Ok(())
    }

    /// A call has ended, or was not made after all.
    pub fn end_call(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Takes `bytes`; says whether there was room, and takes none if not.
    #[must_use]
    pub fn hold(&mut self, bytes: usize) -> bool {
        let held = self.bytes.checked_add(bytes);
        let fits = held.filter(|held| *held <= self.limits.bytes);
        self.bytes = fits.unwrap_or(self.bytes);
        fits.is_some()
    }

    /// Gives `bytes` back.
    pub fn free(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Calls under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What a failure adds to the trouble of an upstream; an answer takes 1 away.
const FAILURE: u32 = 2;
/// The trouble at which an upstream is left alone.
const TROUBLE: u32 = 10;
/// How long an upstream is left alone at first, in milliseconds.
const FIRST: u64 = 1_000;
/// How long at most: a version that is back is looked at within a minute.
const LONGEST: u64 = 60_000;

/// Whether an upstream is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackOff {
    /// It is.
    On {
        /// What its failures came to.
        trouble: u32,
    },
    /// It is left alone.
    Off {
        /// Since when.
        since: Moment,
        /// For how long, in milliseconds.
        wait: u64,
    },
    /// One call is under way that will tell.
    Probing {
        /// Since when.
        since: Moment,
        /// The wait before it, in milliseconds.
        wait: u64,
    },
}

impl Default for BackOff {
    fn default() -> Self {
        Self::On { trouble: 0 }
    }
}

/// What an upstream may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Anything.
    All,
    /// One call, that tells whether it is well again.
    Probe,
    /// Nothing.
    None,
}

impl BackOff {
    /// What may be asked at `now`. A probe whose end was never told is given up like a wait.
    pub fn leave(&self, now: Moment) -> Leave {
        let is_over = |since, wait| now < since || now.since(since) >= wait;
        match *self {
            Self::On { .. } => Leave::All,
            Self::Off { since, wait } if is_over(since, wait) => Leave::Probe,
            Self::Probing { since, .. } if is_over(since, LONGEST) => Leave::Probe,
            Self::Off { .. } | Self::Probing { .. } => Leave::None,
        }
    }

    /// The call that [`Leave::Probe`] allowed begins.
    pub fn begin_probe(&mut self, now: Moment) {
        if let Self::Off { wait, .. } | Self::Probing { wait, .. } = *self {
            *self = Self::Probing { since: now, wait };
        }
    }

    /// A call ended, with an answer or without. Only the probe's end counts while nothing else is
    /// asked: the others began before.
    pub fn ended(&mut self, answered: bool, probe: bool, now: Moment) {
        *self = match *self {
            Self::On { trouble } if answered => Self::On {
                trouble: trouble.saturating_sub(1),
            },
            Self::On { trouble } if trouble.saturating_add(FAILURE) < TROUBLE => Self::On {
                trouble: trouble.saturating_add(FAILURE),
            },
            Self::On { .. } => Self::Off {
                since: now,
                wait: FIRST,
            },
            Self::Probing { .. } if probe && answered => Self::default(),
            Self::Probing { wait, .. } if probe => Self::Off {
                since: now,
                wait: wait.saturating_mul(2).min(LONGEST),
            },
            other => other,
        };
    }

    /// Whether everything is asked.
    pub fn is_on(&self) -> bool {
        matches!(self, Self::On { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        in_flight: 3,
        per_second: 5,
        bytes: 100,
    };

    #[test]
    fn calls_under_way_are_bounded_and_come_back() {
        let mut budget = Budget::new(LIMITS, Moment(0));
        for _ in 0..3 {
            assert_eq!(budget.begin_call(Moment(0)), Ok(()));
        }
        assert_eq!(budget.begin_call(Moment(0)), Err(Skipped::InFlight));
        budget.end_call();
        assert_eq!(budget.begin_call(Moment(0)), Ok(()));
    }

    #[test]
    fn a_second_allows_so_many_calls_and_no_more_are_saved_up() {
        let mut budget = Budget::new(LIMITS, Moment(0));
        let mut made = |now| {
            let mut made = 0;
            while budget.begin_call(now).is_ok() {
                budget.end_call();
                made += 1;
            }
            made
        };
        assert_eq!(made(Moment(0)), 5);
        assert_eq!(made(Moment(199)), 0);
        assert_eq!(made(Moment(200)), 1);
        assert_eq!(made(Moment(100)), 0, "a clock set back gives nothing");
        assert_eq!(made(Moment(i64::MAX)), 5);
    }

    #[test]
    fn bytes_past_the_budget_are_not_held() {
        let mut budget = Budget::new(LIMITS, Moment(0));
        assert!(budget.hold(60) && !budget.hold(41) && budget.hold(40));
        assert_eq!(budget.begin_call(Moment(0)), Err(Skipped::Bytes));
        assert!(!budget.hold(usize::MAX));
        budget.free(100);
        assert_eq!(budget.bytes(), 0);
    }

    #[test]
    fn five_failures_in_a_row_turn_an_upstream_off_and_waits_double() {
        let mut back_off = BackOff::default();
        for _ in 0..4 {
            back_off.ended(false, false, Moment(0));
        }
        assert_eq!(back_off.leave(Moment(0)), Leave::All);
        back_off.ended(false, false, Moment(0));
        let mut now = 0;
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(back_off.leave(Moment(now + wait * 1_000 - 1)), Leave::None);
            now += wait * 1_000;
            assert_eq!(back_off.leave(Moment(now)), Leave::Probe);
            back_off.begin_probe(Moment(now));
            assert_eq!(back_off.leave(Moment(now)), Leave::None);
            back_off.ended(true, false, Moment(now));
            assert!(!back_off.is_on(), "an answer from before tells nothing");
            back_off.ended(false, true, Moment(now));
        }
        now += 60_000;
        back_off.begin_probe(Moment(now));
        back_off.ended(true, true, Moment(now));
        assert_eq!(back_off, BackOff::default());
    }

    #[test]
    fn one_failure_in_four_is_borne_and_one_in_two_is_not() {
        let turned_off = |every: usize| {
            let mut back_off = BackOff::default();
            (0..1_000).any(|n| {
                back_off.ended(n % every != 0, false, Moment(0));
                !back_off.is_on()
            })
        };
        assert!(!turned_off(4));
        assert!(turned_off(2));
    }

    #[test]
    fn a_probe_that_is_never_told_of_does_not_keep_an_upstream_off_for_ever() {
        let mut back_off = BackOff::Off {
            since: Moment(0),
            wait: FIRST,
        };
        back_off.begin_probe(Moment(1_000));
        assert_eq!(back_off.leave(Moment(60_999)), Leave::None);
        assert_eq!(back_off.leave(Moment(61_000)), Leave::Probe);
        assert_eq!(
            back_off.leave(Moment(999)),
            Leave::Probe,
            "the clock was set"
        );
    }

    proptest! {
        #[test]
        fn no_budget_is_ever_passed(steps in prop::collection::vec((0..4_u8, 0..200_usize, -500..2_000_i64), 0..200)) {
            let mut budget = Budget::new(LIMITS, Moment(0));
            let (mut now, mut latest, mut made) = (0_i64, 0_i64, 0_i64);
            for (step, amount, passed) in steps {
                now += passed;
                latest += passed.max(0);
                match step {
                    0 | 1 => made += i64::from(budget.begin_call(Moment(now)).is_ok()),
                    2 => budget.end_call(),
                    _ => {
                        if budget.hold(amount) && amount % 2 == 0 {
                            budget.free(amount);
                        }
                    }
                }
                prop_assert!(budget.in_flight() <= LIMITS.in_flight);
                prop_assert!(budget.bytes() <= LIMITS.bytes);
                // What a clock that is set back and goes on again passes twice counts twice.
                prop_assert!(made <= 5 + 5 * (latest + 999) / 1_000);
            }
        }
    }
}
