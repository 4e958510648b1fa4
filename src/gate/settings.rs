//! What people set about a gate. The policy builds these; every default is the policy's default.

use super::budget::BudgetSettings;
use super::detector::watch::Terms;
use super::limits::Limit;
use super::long_lived::LongLived;
use super::state::Terms as Transitions;
use super::words::{Held, Signal};
use std::time::Duration;

/// The settings of one route's and variant's gate.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// A new one starts the gate afresh; any other change of settings keeps its state.
    pub revision: String,
    /// A person's word, which beats what is found.
    pub held: Option<Held>,
    /// What is judged.
    pub signals: Signals,
    /// The gate shuts a good canary about once in this time, all signals together.
    pub false_alarm_every: Duration,
    /// How many times stable's rate is still as good as stable's; at least 1.
    pub tolerance: f64,
    /// From the canary's first request on, this long nothing is judged.
    pub warmup: Duration,
    /// The usual distance of two ticks. The detector was measured at a second.
    pub tick: Duration,
    /// Where the counts of slow requests come from.
    pub slow: SlowCounts,
    /// Upper bounds of the latency buckets in milliseconds, rising; the bucket after the last is
    /// open. At most [`BUCKETS`](super::input::BUCKETS) - 1 are looked at.
    pub latency_bounds_ms: Vec<f64>,
    /// Absolute triggers; at most [`MAX_LIMITS`](super::limits::MAX_LIMITS) are looked at.
    pub limits: Vec<Limit>,
    /// Whether and how the gate opens again by itself; none: it is latched.
    pub reopen: Option<Reopen>,
    /// Makes the jitter of back-offs differ between proxies and routes: a hash of their names.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            revision: String::new(),
            held: None,
            signals: Signals::default(),
            false_alarm_every: Duration::from_secs(30 * 86_400),
            tolerance: 1.2,
            warmup: Duration::from_secs(60),
            tick: Duration::from_secs(1),
            slow: SlowCounts::FromLatency,
            latency_bounds_ms: DEFAULT_BOUNDS_MS.to_vec(),
            limits: Vec::new(),
            reopen: None,
            seed: 0,
        }
    }
}

/// The latency buckets' upper bounds unless the caller keeps others.
pub const DEFAULT_BOUNDS_MS: [f64; 13] = [
    1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0,
];

/// The settings of the gates of one route.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteSettings {
    /// One for each variant, in the order of the policy.
    pub variants: Vec<Settings>,
    /// The route's error budget, if it has one.
    pub budget: Option<BudgetSettings>,
    /// What happens to streams that are under way when a gate shuts.
    pub long_lived: LongLived,
}

/// Which signals are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signals {
    /// [`Signal::Errors`]
    pub errors: bool,
    /// [`Signal::Slow`]
    pub slow: bool,
    /// [`Signal::Diffs`]
    pub diffs: bool,
    /// [`Signal::Conversions`]
    pub conversions: bool,
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            errors: true,
            slow: true,
            diffs: true,
            conversions: true,
        }
    }
}

impl Signals {
    /// Whether `signal` is judged.
    #[must_use]
    pub fn judges(self, signal: Signal) -> bool {
        match signal {
            Signal::Errors => self.errors,
            Signal::Slow => self.slow,
            Signal::Diffs => self.diffs,
            Signal::Conversions => self.conversions,
        }
    }
}

/// Where the counts of slow requests come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowCounts {
    /// The caller counted them against thresholds of its own.
    Counted,
    /// The gate learns the thresholds from stable's histogram and counts by both histograms.
    FromLatency,
}

/// How a shut gate opens again: by trying a few callers after a back-off that doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reopen {
    /// The first back-off.
    pub after: Duration,
    /// The longest.
    pub max: Duration,
}

impl Default for Reopen {
    fn default() -> Self {
        Self {
            after: Duration::from_secs(30),
            max: Duration::from_secs(1_800),
        }
    }
}

/// The false alarms are shared by this many questions, whichever of them are judged: errors, slow
/// by three thresholds, diffs and conversions.
const SHARED_BY: f64 = 6.0;

impl Settings {
    /// The tolerance, made sense of: at least 1.
    fn tolerance(&self) -> f64 {
        // NaN is the smaller one of any two.
        self.tolerance.max(1.0)
    }

    pub(super) fn terms(&self) -> Terms {
        let seconds = SHARED_BY * self.false_alarm_every.as_secs_f64();
        Terms {
            tolerance: self.tolerance(),
            threshold: seconds.max(1.0).ln(),
        }
    }

    pub(super) fn transitions(&self) -> Transitions {
        Transitions {
            reopen: self.reopen,
            tolerance: self.tolerance(),
            seed: self.seed,
        }
    }
}
