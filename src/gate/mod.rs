//! Is the canary worse than stable, and who reaches it then.
//!
//! A [`Gate`] judges one variant of one route. Once a tick the caller hands it the counts of both
//! sides ([`Tick`]) and the settings; it answers with a [`Change`] if the gate opened, shut or
//! probes. It knows neither the clock nor the host: time comes with the tick, and where the gate
//! stands is a value to be asked for.
//!
//! ```
//! use serinus::gate::{Gate, Position, Settings, Tick};
//!
//! let settings = Settings::default();
//! let mut gate = Gate::new(&settings);
//! // Nothing was counted, so nothing is known, so everything stays as it is.
//! assert_eq!(gate.tick(&settings, &Tick::default()), None);
//! assert_eq!(gate.position(), Position::Open);
//! ```
//!
//! Whatever is wrong with a tick (a side is missing or contradicts itself, the tick comes twice or
//! late, the clock jumped) the gate holds: it learns nothing from it and changes nothing.
//!
//! The verdict of the route's shadow ([`Shadowed`]) goes before all that is counted here: while it is
//! `fail` the gate is shut, with or without traffic, in the warm-up too, and nothing is probed.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`input`] | what the gate is told |
//! | [`settings`] | what people set |
//! | [`detector`] | whether the canary is worse than stable |
//! | [`limits`] | absolute triggers |
//! | [`long_lived`] | streams that are under way when it shuts |
//! | [`budget`] | the route's error budget |
//! | [`state`], [`probe`] | open, shut, and the way back |
//! | [`store`] | gates as bytes |
//! | [`gates`] | all gates of a route |
//! | [`orders`] | what the worker that judges tells the others |
//! | [`words`] | signals, reasons, verdicts, changes |

pub mod budget;
mod clock;
pub mod detector;
pub mod gates;
pub mod input;
pub mod limits;
pub mod long_lived;
pub mod orders;
pub mod probe;
mod route;
pub mod settings;
pub mod shed;
pub mod state;
pub mod store;
pub mod words;

pub use budget::{Budget, BudgetSettings};
pub use detector::sample::{Pair, Sample};
pub use input::{At, Canary, Counts, Group, KeySlot, Ppm, Shadowed, Stable, Tick};
pub use limits::{Bound, Limit, Quantity};
pub use long_lived::LongLived;
pub use settings::{Reopen, RouteSettings, Settings, Signals, SlowCounts};
pub use state::State;
pub use words::{Change, Held, History, Position, Reason, Signal, Verdict};

use crate::bounds::within;
use clock::Clock;
use detector::{Detector, Finding, Readings};
use limits::{Admitted, LimitWatch, MAX_LIMITS};
use route::Pulse;
use serde::{Deserialize, Serialize};
use state::{Event, News};

/// The gate of one route's variant: a few KiB, whatever the traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    revision: String,
    held: Option<Held>,
    state: State,
    /// Whether the last tick that was judged spoke against the canary.
    accused: bool,
    /// Whether that was the shadow's verdict.
    condemned: bool,
    detector: Detector,
    limits: Vec<LimitWatch>,
    pulse: Pulse,
    clock: Clock,
    history: History,
}

impl Gate {
    /// A gate that is open, or where a person holds it.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            revision: settings.revision.clone(),
            held: settings.held,
            ..Self::default()
        }
    }

    /// A gate that was found shut, with nothing known of why.
    #[must_use]
    pub fn shut(settings: &Settings) -> Self {
        Self {
            state: State::Shut {
                signal: None,
                lapses: 0,
                shut_s: 0.0,
            },
            ..Self::new(settings)
        }
    }

    /// Takes on settings that may be others than before. A new revision starts the gate afresh
    /// and keeps its history; a change of who holds it is told; everything else keeps the state.
    pub fn configure(&mut self, settings: &Settings, at: At) -> Option<Change> {
        let mut reason = None;
        if self.held != settings.held {
            self.held = settings.held;
            reason = Some(match settings.held {
                Some(_) => Reason::Held,
                None => Reason::Released,
            });
        }
        if self.revision != settings.revision {
            self.revision.clone_from(&settings.revision);
            self.state = State::default();
            self.accused = false;
            self.condemned = false;
            self.limits.clear();
            self.detector.forget_canary();
            self.clock.chill();
            reason = Some(Reason::Revision);
        }
        let news = News {
            reason: reason?,
            signal: None,
            evidence: Pair::default(),
        };
        Some(self.tell(at, news))
    }

    /// Judges one tick. The change it made is also in the history.
    pub fn tick(&mut self, settings: &Settings, tick: &Tick) -> Option<Change> {
        let seconds = self.clock.advance(tick.at, settings)?;
        let of_canary = tick
            .canary()
            .map_or(0.0, |side| side.counts.requests as f64);
        let readings = self.read(settings, tick, of_canary, seconds);
        let is_warm = self.clock.warmed(of_canary, seconds, settings);
        let is_shut = matches!(self.state, State::Shut { .. });
        let by_shadow = by_shadow(settings, tick);
        let by_counts = (is_warm && !is_shut)
            .then(|| self.judge(settings, tick, readings.as_ref(), seconds))
            .flatten();
        self.condemned = by_shadow.is_some();
        let found = by_shadow.or(by_counts);
        self.accused = found.is_some();
        // No canary warms up behind a shut gate: its way back must not wait for that.
        let is_due = is_warm || is_shut || found.is_some();
        if self.held.is_some() || !is_due {
            return None;
        }
        let event = match &found {
            Some(found) => Event::Found(found),
            None => Event::Passed {
                seconds,
                readings: readings.as_ref(),
                rps: self.pulse.rps(),
            },
        };
        let news = self.enter(event, settings)?;
        Some(self.tell(tick.at, news))
    }

    /// Learns from stable, and reads both sides if both are there.
    fn read(
        &mut self,
        settings: &Settings,
        tick: &Tick,
        of_canary: f64,
        seconds: f64,
    ) -> Option<Readings> {
        let stable = tick.stable()?;
        let errors = Sample::of(stable.counts.requests, stable.counts.errors);
        self.pulse.learn(errors, errors.n + of_canary, seconds);
        self.detector.learn(settings, stable, of_canary, seconds);
        let canary = tick.canary()?;
        Some(self.detector.read(settings, stable, canary, seconds))
    }

    /// Goes from state to state; what was found in one position says nothing in another.
    fn enter(&mut self, event: Event<'_>, settings: &Settings) -> Option<News> {
        let before = self.state.position();
        let (state, news) = self.state.on(event, &settings.transitions());
        self.state = state;
        if self.state.position() != before {
            self.detector.forget_evidence();
            self.limits.clear();
        }
        news
    }

    fn judge(
        &mut self,
        settings: &Settings,
        tick: &Tick,
        readings: Option<&Readings>,
        seconds: f64,
    ) -> Option<Finding> {
        let by_detector =
            readings.and_then(|readings| self.detector.judge(settings, readings, seconds));
        let by_limit = self.limit(settings, tick, readings, seconds);
        by_detector.or(by_limit)
    }

    fn limit(
        &mut self,
        settings: &Settings,
        tick: &Tick,
        readings: Option<&Readings>,
        seconds: f64,
    ) -> Option<Finding> {
        let limits = || settings.limits.iter().take(MAX_LIMITS);
        if !self.limits.iter().map(LimitWatch::limit).eq(limits()) {
            self.limits = limits().copied().map(LimitWatch::new).collect();
        }
        let admitted = match (readings, tick.canary()) {
            (Some(readings), _) => Admitted {
                errors: readings.errors.canary,
                conversions: readings.conversions,
                phi: readings.conversions_phi,
            },
            (None, Some(side)) => Admitted {
                errors: Sample::of(side.counts.requests, side.counts.errors),
                ..Admitted::default()
            },
            (None, None) => Admitted::default(),
        };
        let mut found = None;
        for watch in &mut self.limits {
            if let Some(evidence) =
                watch.learn(tick, admitted, &settings.latency_bounds_ms, seconds)
            {
                found.get_or_insert(Finding {
                    signal: watch.limit().quantity.signal(),
                    reason: Reason::Limit(watch.limit().quantity),
                    evidence,
                });
            }
        }
        found
    }

    fn tell(&mut self, at: At, news: News) -> Change {
        let change = Change {
            at,
            state: self.position(),
            reason: news.reason,
            signal: news.signal,
            evidence: news.evidence,
        };
        self.history.push(change);
        change
    }

    /// Where the gate stands for callers: a person's word first.
    #[must_use]
    pub fn position(&self) -> Position {
        match self.held {
            Some(Held::Open) => Position::Open,
            Some(Held::Shut) => Position::Shut,
            None => self.state.position(),
        }
    }

    /// The share that reaches the canary now, where `full` is its share by the policy.
    #[must_use]
    pub fn share(&self, full: Ppm) -> Ppm {
        match self.held {
            Some(Held::Open) => full,
            Some(Held::Shut) => Ppm(0),
            None => self.state.share(full),
        }
    }

    /// The revision that is judged.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Who holds the gate, if a person does.
    #[must_use]
    pub fn held(&self) -> Option<Held> {
        self.held
    }

    /// The state beneath a person's word.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What may be thought of the canary by now.
    #[must_use]
    pub fn verdict(&self, settings: &Settings) -> Verdict {
        if self.accused || self.state.position() != Position::Open {
            Verdict::Fail
        } else if self.held == Some(Held::Shut)
            || self.pulse.in_outage()
            || !self.detector.would_have_noticed(settings)
        {
            Verdict::Hold
        } else {
            Verdict::Pass
        }
    }

    /// How far the evidence of `signal` has come towards shutting the gate: 0 is none, 1 shuts it.
    /// Limits and the quick way out for a canary that fails outright are beside it. A shadow's
    /// verdict is all or nothing.
    #[must_use]
    pub fn evidence(&self, settings: &Settings, signal: Signal) -> f64 {
        if self.condemned && signal == Signal::Diffs {
            return 1.0;
        }
        let threshold = settings.terms().threshold;
        within(
            self.detector.log_odds(signal) / threshold.max(1.0),
            0.0,
            1.0,
        )
    }

    /// The detector, for its odds and thresholds.
    #[must_use]
    pub fn detector(&self) -> &Detector {
        &self.detector
    }

    /// The last changes.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }
}

/// The shadow's verdict against the canary, where differences are judged.
fn by_shadow(settings: &Settings, tick: &Tick) -> Option<Finding> {
    let failed = tick.shadow.and_then(|shadow| shadow.failed)?;
    settings.signals.judges(Signal::Diffs).then_some(Finding {
        signal: Some(Signal::Diffs),
        reason: Reason::Shadow,
        evidence: failed,
    })
}

#[cfg(test)]
#[path = "shadow_tests.rs"]
mod shadow_tests;
