//! The words the gate speaks: signals, reasons, verdicts, and what a change says.

use super::detector::sample::Pair;
use super::input::At;
use super::limits::Quantity;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// More errors than stable.
    Errors,
    /// More slow answers than stable.
    Slow,
    /// More differences to stable than stable has to itself.
    Diffs,
    /// Fewer conversions than stable.
    Conversions,
}

impl Signal {
    /// Every signal, in the order in which they are judged.
    pub const ALL: [Signal; 4] = [
        Signal::Errors,
        Signal::Slow,
        Signal::Diffs,
        Signal::Conversions,
    ];

    /// The word in policies, metrics and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Signal::Errors => "errors",
            Signal::Slow => "slow",
            Signal::Diffs => "diffs",
            Signal::Conversions => "conversions",
        }
    }
}

/// A person's word on the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Held {
    /// Open, whatever is found.
    Open,
    /// Shut, whatever is found.
    Shut,
}

/// Where the gate stands, for those who only ask that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Position {
    /// Callers reach the canary as the shares say.
    Open,
    /// A few callers reach the canary, to see whether it is well again.
    Probing,
    /// Nobody reaches the canary.
    Shut,
}

impl Position {
    /// The word in policies, metrics and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Position::Open => "open",
            Position::Probing => "probing",
            Position::Shut => "shut",
        }
    }
}

/// Why the gate changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The odds against the canary passed the threshold.
    Worse,
    /// The canary fails outright.
    Failing,
    /// The shadow's verdict on the canary is `fail`.
    Shadow,
    /// A limit of the policy on this quantity was crossed.
    Limit(Quantity),
    /// A person held it.
    Held,
    /// The person let go: it stands where it stood before, or has come to since.
    Released,
    /// The policy names a new revision.
    Revision,
    /// The back-off is over: a few callers try the canary.
    Retry,
    /// The canary did well with a few callers and gets more.
    Step,
    /// The canary did badly with the few.
    Relapse,
    /// The canary did well on every rung.
    Recovered,
}

impl Reason {
    /// The word in logs and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Worse => "worse",
            Reason::Failing => "failing",
            Reason::Shadow => "shadow",
            Reason::Limit(Quantity::ErrorRate) => "limit-errorRate",
            Reason::Limit(Quantity::P50) => "limit-p50",
            Reason::Limit(Quantity::P95) => "limit-p95",
            Reason::Limit(Quantity::P99) => "limit-p99",
            Reason::Limit(Quantity::RequestRate) => "limit-requestRate",
            Reason::Limit(Quantity::ConversionRate) => "limit-conversionRate",
            Reason::Limit(Quantity::DiffRate) => "limit-diffRate",
            Reason::Held => "held",
            Reason::Released => "released",
            Reason::Revision => "revision",
            Reason::Retry => "retry",
            Reason::Step => "step",
            Reason::Relapse => "relapse",
            Reason::Recovered => "recovered",
        }
    }
}

/// What may be thought of the canary by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// A canary at three times stable's rate, at least 1 % more, would by now have been shut with
    /// 95 % probability.
    Pass,
    /// Not that much evidence, or all are as bad.
    Hold,
    /// The gate is not open.
    Fail,
}

impl Verdict {
    /// The word in metrics and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Hold => "hold",
            Verdict::Fail => "fail",
        }
    }
}

/// One change of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The end of the tick it came with.
    pub at: At,
    /// Where the gate stands from then on, a person's word included.
    pub state: Position,
    /// Why.
    pub reason: Reason,
    /// The signal it is about, if it is about one.
    pub signal: Option<Signal>,
    /// The counts of both sides that it rests on; zero where it rests on none. For
    /// [`Signal::Diffs`] they are pairs of shadow answers, stable's those of stable against stable.
    pub evidence: Pair,
}

/// The last changes, the newest last; older ones are forgotten.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History(VecDeque<Change>);

impl History {
    /// How many are kept.
    pub const LEN: usize = 32;

    pub(super) fn push(&mut self, change: Change) {
        while self.0.len() >= Self::LEN {
            self.0.pop_front();
        }
        self.0.push_back(change);
    }

    /// The oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Change> {
        self.0.iter()
    }
}
