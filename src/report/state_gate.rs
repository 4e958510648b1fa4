//! A gate in the state document.

use crate::gate::{self, Change, History, Sample, Settings};
use serde::Serialize;

/// A gate and what it goes by.
#[derive(Debug, Clone, Copy)]
pub struct GateView<'a> {
    /// The gate.
    pub gate: &'a gate::Gate,
    /// Its settings.
    pub settings: &'a Settings,
}

#[derive(Debug, Serialize)]
pub(super) struct Gate {
    state: &'static str,
    held: Option<&'static str>,
    verdict: &'static str,
    reason: Option<&'static str>,
    history: Vec<Past>,
}

impl Gate {
    pub(super) fn of(view: GateView<'_>) -> Self {
        let gate = view.gate;
        let newest = gate.history().iter().next_back();
        Self {
            state: gate.position().as_str(),
            held: gate.held().map(held),
            verdict: gate.verdict(view.settings).as_str(),
            reason: newest.map(|change| change.reason.as_str()),
            history: past(gate.history()),
        }
    }
}

fn held(held: gate::Held) -> &'static str {
    match held {
        gate::Held::Open => gate::Position::Open.as_str(),
        gate::Held::Shut => gate::Position::Shut.as_str(),
    }
}

#[derive(Debug, Serialize)]
struct Past {
    at_ms: u64,
    state: &'static str,
    reason: &'static str,
    signal: Option<&'static str>,
    evidence: Evidence,
}

/// The newest first.
fn past(history: &History) -> Vec<Past> {
    let told = history.iter().rev().map(|change: &Change| Past {
        at_ms: change.at.0,
        state: change.state.as_str(),
        reason: change.reason.as_str(),
        signal: change.signal.map(gate::Signal::as_str),
        evidence: Evidence {
            stable: Counted::of(change.evidence.stable),
            canary: Counted::of(change.evidence.canary),
        },
    });
    told.collect()
}

#[derive(Debug, Serialize)]
struct Evidence {
    stable: Counted,
    canary: Counted,
}

#[derive(Debug, Serialize)]
struct Counted {
    n: u64,
    k: u64,
}

impl Counted {
    /// Fractions come from decay and from the key cap; people count whole requests.
    fn of(sample: Sample) -> Self {
        Self {
            n: sample.n.round() as u64,
            k: sample.k.round() as u64,
        }
    }
}
