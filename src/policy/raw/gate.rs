//! The gate: when everybody is sent back to stable.

use crate::policy::decode::{Factor, Whole, choice, record};
use crate::policy::value::{Percent, Period, Text};

record! {
    /// When to send everybody back to stable.
    pub struct Gate {
        /// A new one makes the gate start afresh; any other change of the policy keeps its state.
        "revision" => revision: Option<Text>,
        /// A person holds the gate so, whatever the evidence. Default: nobody does.
        "held" => held: Option<Held>,
        /// What is judged. Default: all that the route collects.
        "signals" => signals: Option<Vec<Signal>>,
        /// How seldom a good canary may be shut. Default: `30d`.
        "falseAlarmEvery" => false_alarm_every: Option<Period>,
        /// By which factor the canary may be worse. Default: 1.2.
        "tolerance" => tolerance: Option<Factor>,
        /// How long after a start nothing is judged. Default: `60s`.
        "warmup" => warmup: Option<Period>,
        /// What moves a ramp. Default: `clock`.
        "advance" => advance: Option<Advance>,
        /// Bounds that shut the gate by themselves; at most 16.
        "limits" => limits: Option<Vec<Limit>>,
        /// The errors that a route may spend.
        "budget" => budget: Option<Budget>,
        /// How the gate opens again. Default: never by itself.
        "reopen" => reopen: Option<Reopen>,
        /// What happens to connections that are open when it shuts. Default: `keep`.
        "longLived" => long_lived: Option<LongLived>,
    }
}

choice! {
    /// A person's word.
    pub enum Held {
        /// Shut.
        "shut" => Shut,
        /// Open.
        "open" => Open,
    }
}

choice! {
    /// What the gate judges.
    pub enum Signal {
        /// Failed requests.
        "errors" => Errors,
        /// Slow requests.
        "slow" => Slow,
        /// Differences between shadow answers.
        "diffs" => Diffs,
        /// A drop of conversions.
        "conversions" => Conversions,
    }
}

choice! {
    /// What moves a ramp.
    pub enum Advance {
        /// The wall clock alone.
        "clock" => Clock,
        /// The clock, while the fleet's verdict is pass.
        "onPass" => OnPass,
    }
}

choice! {
    /// What happens to connections that are open when the gate shuts.
    pub enum LongLived {
        /// They stay with their version.
        "keep" => Keep,
        /// They are ended.
        "cut" => Cut,
    }
}

choice! {
    /// What a limit looks at.
    pub enum LimitSignal {
        /// Errors per request.
        "errorRate" => ErrorRate,
        /// The median of the latency.
        "p50" => P50,
        /// The 95th percentile of the latency.
        "p95" => P95,
        /// The 99th percentile of the latency.
        "p99" => P99,
        /// Requests against stable's, each by its share.
        "requestRate" => RequestRate,
        /// Conversions per request.
        "conversionRate" => ConversionRate,
        /// Differences per comparison.
        "diffRate" => DiffRate,
    }
}

record! {
    /// A bound that shuts the gate by itself: one of `above`, `below` and `belowStableBy`.
    pub struct Limit {
        /// What it looks at.
        "signal" => signal: LimitSignal,
        /// Shut above this: a percentage, or a time for p50, p95 and p99.
        "above" => above: Option<Text>,
        /// Shut below this.
        "below" => below: Option<Text>,
        /// Shut when it is less than stable's by this part.
        "belowStableBy" => below_stable_by: Option<Percent>,
        /// For how long it must be so.
        "for" => lasting: Period,
        /// With fewer requests in that time nothing is said. Default: 100.
        "minRequests" => min_requests: Option<Whole<1, 1_000_000_000>>,
    }
}

record! {
    /// The errors that a route may spend.
    pub struct Budget {
        /// The part of requests that must be good.
        "objective" => objective: Percent,
        /// Over how long; one proxy remembers a day.
        "window" => window: Period,
        /// Ramps stop while less than this is left. Default: `0%`.
        "freezeBelow" => freeze_below: Option<Percent>,
    }
}

record! {
    /// How the gate opens again: by letting few requests through and looking.
    pub struct Reopen {
        /// How long after it shut.
        "after" => after: Period,
        /// The longest wait after several failures.
        "max" => max: Period,
    }
}
