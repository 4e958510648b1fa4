//! The gate's states and how one follows from another.
//!
//! A transition consumes the state and an event and gives the next state, and what to tell about
//! it if it is news. A gate that was shut is latched unless `reopen` is set; then it waits (twice
//! as long after each relapse), lets a few callers through, then 1 %, then all of the share.
//! Time is counted in the seconds of the ticks that were judged, so that a clock that jumps opens
//! nothing early.

use super::detector::sample::Pair;
use super::detector::{Finding, Readings};
use super::input::Ppm;
use super::probe::{Outcome, Probe};
use super::settings::Reopen;
use super::words::{Position, Reason, Signal};
use serde::{Deserialize, Serialize};

/// The first rung lets through at least this share, and enough for this many requests a second.
const FIRST_SHARE: Ppm = Ppm(1_000);
const FIRST_RPS: f64 = 1.5;
/// The second rung's share.
const SECOND_SHARE: Ppm = Ppm(10_000);
/// What counts as bad on the two rungs: this much more errors than tolerated.
const SLACK: [f64; 2] = [0.02, 0.01];
/// Back-offs differ by up to this part, so that proxies do not retry together.
const JITTER: f64 = 0.2;

/// Where the gate stands, and what it must remember there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum State {
    /// Callers reach the canary as the shares say.
    Open {
        /// How often it was shut lately.
        lapses: u32,
        /// Seconds since it opened.
        calm_s: f64,
    },
    /// Nobody reaches the canary.
    Shut {
        /// What shut it.
        signal: Option<Signal>,
        /// How often it was shut before, lately.
        lapses: u32,
        /// Seconds since it was shut.
        shut_s: f64,
    },
    /// A few callers reach the canary.
    Probing {
        /// What had shut the gate.
        signal: Option<Signal>,
        /// How often it was shut before, lately.
        lapses: u32,
        /// How many are let through.
        rung: Rung,
        /// What they have shown.
        probe: Probe,
    },
}

/// A step of the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rung {
    /// As few callers as give an answer; their share.
    First(Ppm),
    /// One in a hundred.
    Second,
}

impl Rung {
    fn share(self) -> Ppm {
        match self {
            Rung::First(share) => share,
            Rung::Second => SECOND_SHARE,
        }
    }

    fn slack(self) -> f64 {
        let [first, second] = SLACK;
        match self {
            Rung::First(_) => first,
            Rung::Second => second,
        }
    }
}

/// What may happen to a gate.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The detector, a limit or the shadow found the canary worse.
    Found(&'a Finding),
    /// A tick passed.
    Passed {
        /// How long it was.
        seconds: f64,
        /// What both sides did; absent if it cannot be told.
        readings: Option<&'a Readings>,
        /// The route's requests a second, lately.
        rps: f64,
    },
}

/// What the transitions go by.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// None: latched.
    pub reopen: Option<Reopen>,
    /// How many times stable's rate is still good.
    pub tolerance: f64,
    /// Makes the jitter differ.
    pub seed: u64,
}

/// What a transition tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct News {
    /// Why.
    pub reason: Reason,
    /// About what.
    pub signal: Option<Signal>,
    /// The counts it rests on.
    pub evidence: Pair,
}

impl Default for State {
    fn default() -> Self {
        State::Open {
            lapses: 0,
            calm_s: 0.0,
        }
    }
}

impl State {
    /// The word for it.
    #[must_use]
    pub fn position(&self) -> Position {
        match self {
            State::Open { .. } => Position::Open,
            State::Probing { .. } => Position::Probing,
            State::Shut { .. } => Position::Shut,
        }
    }

    /// The share that reaches the canary where `full` is its share by the policy.
    #[must_use]
    pub fn share(&self, full: Ppm) -> Ppm {
        match self {
            State::Open { .. } => full,
            State::Probing { rung, .. } => rung.share().min(full),
            State::Shut { .. } => Ppm(0),
        }
    }

    /// The next state, and what to tell of it.
    #[must_use]
    pub fn on(self, event: Event<'_>, terms: &Terms) -> (State, Option<News>) {
        match (self, event) {
            (State::Open { lapses, .. }, Event::Found(found)) => {
                (shut(found.signal, lapses), Some(News::of(found)))
            }
            (State::Probing { lapses, .. }, Event::Found(found)) => (
                shut(found.signal, lapses.saturating_add(1)),
                Some(News::of(found)),
            ),
            (State::Shut { .. }, Event::Found(_)) => (self, None),
            (State::Open { lapses, calm_s }, Event::Passed { seconds, .. }) => {
                (rest(lapses, calm_s + seconds, terms), None)
            }
            (
                State::Shut {
                    signal,
                    lapses,
                    shut_s,
                },
                Event::Passed { seconds, rps, .. },
            ) => {
                let shut_s = shut_s + seconds;
                match terms.wait_s(lapses) {
                    Some(wait_s) if shut_s >= wait_s => try_again(signal, lapses, rps),
                    _ => (
                        State::Shut {
                            signal,
                            lapses,
                            shut_s,
                        },
                        None,
                    ),
                }
            }
            (State::Probing { .. }, Event::Passed { readings: None, .. }) => (self, None),
            (
                State::Probing {
                    signal,
                    lapses,
                    rung,
                    mut probe,
                },
                Event::Passed {
                    seconds,
                    readings: Some(readings),
                    ..
                },
            ) => {
                let outcome = probe.learn(readings, signal, terms.tolerance, rung.slack(), seconds);
                climb(
                    State::Probing {
                        signal,
                        lapses,
                        rung,
                        probe,
                    },
                    outcome,
                )
            }
        }
    }
}

fn shut(signal: Option<Signal>, lapses: u32) -> State {
    State::Shut {
        signal,
        lapses,
        shut_s: 0.0,
    }
}

/// An open gate forgets its lapses once it has been open for the longest back-off.
fn rest(lapses: u32, calm_s: f64, terms: &Terms) -> State {
    let long = terms.reopen.unwrap_or_default().max.as_secs_f64();
    State::Open {
        lapses: if calm_s >= long { 0 } else { lapses },
        calm_s,
    }
}

fn try_again(signal: Option<Signal>, lapses: u32, rps: f64) -> (State, Option<News>) {
    let share = FIRST_SHARE.max(Ppm::from_fraction(FIRST_RPS / rps.max(FIRST_RPS)));
    let state = State::Probing {
        signal,
        lapses,
        rung: Rung::First(share),
        probe: Probe::default(),
    };
    let news = News {
        reason: Reason::Retry,
        signal,
        evidence: Pair::default(),
    };
    (state, Some(news))
}

/// Up a rung, down to shut, or neither.
fn climb(state: State, outcome: Outcome) -> (State, Option<News>) {
    let State::Probing {
        signal,
        lapses,
        rung,
        probe,
    } = state
    else {
        return (state, None);
    };
    let news = |reason| {
        Some(News {
            reason,
            signal,
            evidence: probe.seen(),
        })
    };
    let more = lapses.saturating_add(1);
    match (outcome, rung) {
        (Outcome::Open, _) => (state, None),
        (Outcome::Failed, _) => (shut(signal, more), news(Reason::Relapse)),
        (Outcome::Passed, Rung::First(share)) if share < SECOND_SHARE => {
            let next = State::Probing {
                signal,
                lapses,
                rung: Rung::Second,
                probe: Probe::default(),
            };
            (next, news(Reason::Step))
        }
        (Outcome::Passed, _) => {
            let open = State::Open {
                lapses: more,
                calm_s: 0.0,
            };
            (open, news(Reason::Recovered))
        }
    }
}

impl News {
    fn of(found: &Finding) -> News {
        News {
            reason: found.reason,
            signal: found.signal,
            evidence: found.evidence,
        }
    }
}

impl Terms {
    /// Seconds to wait after so many lapses; nothing if the gate is latched.
    fn wait_s(&self, lapses: u32) -> Option<f64> {
        let reopen = self.reopen?;
        let doubled = reopen.after.as_secs_f64() * f64::from(lapses.min(32)).exp2();
        let jitter = 1.0 + JITTER * (2.0 * unit(self.seed ^ u64::from(lapses)) - 1.0);
        Some(doubled.min(reopen.max.as_secs_f64()) * jitter)
    }
}

/// A number from 0 to 1 that `seed` decides (the finalizer of splitmix64).
fn unit(seed: u64) -> f64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{Sample, words::Signal::Errors};

    const LATCHED: Terms = Terms {
        reopen: None,
        tolerance: 1.2,
        seed: 7,
    };

    fn ladder() -> Terms {
        Terms {
            reopen: Some(Reopen::default()),
            ..LATCHED
        }
    }

    fn found() -> Finding {
        Finding {
            signal: Some(Errors),
            reason: Reason::Worse,
            evidence: Pair::default(),
        }
    }

    fn errors(k: f64) -> Readings {
        Readings {
            errors: Pair {
                stable: Sample { n: 1_000.0, k: 1.0 },
                canary: Sample { n: 10.0, k },
            },
            ..Readings::default()
        }
    }

    /// Ticks of a second until the state is told to change; how many, to what, and why.
    fn until_news(mut state: State, terms: &Terms, k: f64) -> Option<(u32, State, Reason)> {
        for second in 1..=10_000 {
            let readings = errors(k);
            let passed = Event::Passed {
                seconds: 1.0,
                readings: Some(&readings),
                rps: 1_000.0,
            };
            let (next, news) = state.on(passed, terms);
            state = next;
            if let Some(news) = news {
                return Some((second, state, news.reason));
            }
        }
        None
    }

    #[test]
    fn a_latched_gate_stays_shut() {
        let (state, news) = State::default().on(Event::Found(&found()), &LATCHED);
        assert_eq!(state.position(), Position::Shut);
        assert_eq!(news.unwrap().reason, Reason::Worse);
        assert_eq!(until_news(state, &LATCHED, 0.0), None);
    }

    #[test]
    fn a_well_canary_climbs_back_rung_by_rung() {
        let (state, _) = State::default().on(Event::Found(&found()), &ladder());
        let full = Ppm(50_000);
        assert_eq!(state.share(full), Ppm(0));
        let (waited, state, reason) = until_news(state, &ladder(), 0.0).unwrap();
        assert_eq!(
            (state.position(), reason),
            (Position::Probing, Reason::Retry)
        );
        assert!(
            (24..=36).contains(&waited),
            "30 s and a fifth, not {waited}"
        );
        assert_eq!(state.share(full), Ppm(1_500));
        let (_, state, reason) = until_news(state, &ladder(), 0.0).unwrap();
        assert_eq!((state.share(full), reason), (Ppm(10_000), Reason::Step));
        let (_, state, reason) = until_news(state, &ladder(), 0.0).unwrap();
        assert_eq!((state.share(full), reason), (full, Reason::Recovered));
    }

    #[test]
    fn a_canary_still_failing_is_shut_at_once_and_waits_twice_as_long() {
        let (mut state, _) = State::default().on(Event::Found(&found()), &ladder());
        let mut waits = Vec::new();
        for _ in 0..9 {
            let (waited, probing, _) = until_news(state, &ladder(), 10.0).unwrap();
            let (seconds, shut, reason) = until_news(probing, &ladder(), 10.0).unwrap();
            assert_eq!(
                (seconds, shut.position(), reason),
                (1, Position::Shut, Reason::Relapse)
            );
            waits.push(f64::from(waited));
            state = shut;
        }
        for (wait, expected) in waits.iter().zip([30.0, 60.0, 120.0, 240.0, 480.0, 960.0]) {
            assert!((wait / expected - 1.0).abs() < 0.24, "{waits:?}");
        }
        assert!(
            waits.iter().all(|wait| *wait <= 1.2 * 1_800.0 + 1.0),
            "{waits:?}"
        );
    }

    #[test]
    fn lapses_are_forgotten_after_the_longest_back_off() {
        let mut state = State::Open {
            lapses: 5,
            calm_s: 0.0,
        };
        let passed = Event::Passed {
            seconds: 1.0,
            readings: None,
            rps: 0.0,
        };
        for _ in 0..1_800 {
            state = state.on(passed, &ladder()).0;
        }
        assert!(matches!(state, State::Open { lapses: 0, .. }));
    }

    #[test]
    fn a_quiet_route_probes_with_all_it_has() {
        let (state, _) = try_again(None, 0, 1.0);
        assert_eq!(state.share(Ppm(20_000)), Ppm(20_000));
    }

    #[test]
    fn nothing_is_concluded_of_a_probe_that_nobody_saw() {
        let (state, _) = try_again(Some(Errors), 0, 100.0);
        let blind = Event::Passed {
            seconds: 1.0,
            readings: None,
            rps: 0.0,
        };
        assert_eq!(state.on(blind, &ladder()), (state, None));
    }
}
