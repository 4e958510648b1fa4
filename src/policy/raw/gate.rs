//! The gate: when everybody is sent back to stable.

use crate::policy::decode::{Factor, Whole, choice, record};
use crate::policy::value::{Percent, Period, Text};

record! {
    /// When to send everybody back to stable. Every variant has a gate, with these defaults if the
    /// route names none: it compares the variant with stable, at the same time, in the same proxy.
    pub struct Gate {
        /// A new one makes the gate start afresh; any other change of the policy keeps its state.
        "revision" => revision: Option<Text>,
        /// A person holds the gate so, whatever the evidence. Default: nobody does.
        "held" => held: Option<Held>,
        /// What is judged against stable, at least one. Default: all that the route collects.
        /// `diffs`, for a route whose `shadow` compares, is the shadow's verdict, which knows for each
        /// path what is noise. While that is `fail` the route's first variant is shut, the one that the
        /// shadow's `cluster` is taken to serve: in the warm-up too, before anyone has seen the variant,
        /// and with no try by `reopen`. With a new `revision` the shadow judges afresh.
        "signals" => signals: Option<Vec<Signal>>,
        /// How seldom a good canary may be shut, at least `1h`. Default: `30d`.
        "falseAlarmEvery" => false_alarm_every: Option<Period>,
        /// By which factor the canary's rates may be worse than stable's; conversions may be lower by
        /// 5 % whatever this says. Default: 1.2.
        "tolerance" => tolerance: Option<Factor>,
        /// From the canary's first request on, and again with a new `revision`, this long nothing is
        /// judged but the shadow's verdict; at most `1d`. Default: `60s`.
        "warmup" => warmup: Option<Period>,
        /// What moves a ramp. Default: `clock`.
        "advance" => advance: Option<Advance>,
        /// Bounds that shut the gate by themselves; at most 16.
        "limits" => limits: Option<Vec<Limit>>,
        /// The errors that a route may spend.
        "budget" => budget: Option<Budget>,
        /// How the gate opens again. Default: never by itself, but by a new `revision`.
        "reopen" => reopen: Option<Reopen>,
        /// What happens to connections that are open when it shuts: WebSockets and other tunnels, and
        /// requests that have lasted a minute. Default: `keep`.
        "longLived" => long_lived: Option<LongLived>,
    }
}

choice! {
    /// A person's word.
    pub enum Held {
        /// Nobody but rules with `evenShut` reaches the canary.
        "shut" => Shut,
        /// The shares and rules hold, whatever is found.
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
        /// The verdict of the route's shadow, on the first variant.
        "diffs" => Diffs,
        /// A drop of conversions of the first goal of the route's `experiment`, by more than 5 %.
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
        /// They are ended, each at the next bytes that go over it in either direction.
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
        /// Requests against what the shares and stable's requests let expect, as 100%.
        "requestRate" => RequestRate,
        /// Conversions of the first goal of the route's `experiment` per exposure. With `belowStableBy`
        /// it is judged once each time that `for` says, over all of it, and crossed where it is lower by
        /// more than chance explains (four standard errors).
        "conversionRate" => ConversionRate,
        /// Differences per comparison of the route's shadow, noise among them; of the first variant
        /// only.
        "diffRate" => DiffRate,
    }
}

record! {
    /// A bound that shuts the gate by itself, whatever stable does: one of `above`, `below` and
    /// `belowStableBy`.
    pub struct Limit {
        /// What it looks at.
        "signal" => signal: LimitSignal,
        /// Shut above this: a percentage, or a time for p50, p95 and p99.
        "above" => above: Option<Text>,
        /// Shut below this; not for errorRate and diffRate.
        "below" => below: Option<Text>,
        /// Shut when it is less than stable's by this part; only for requestRate and conversionRate.
        "belowStableBy" => below_stable_by: Option<Percent>,
        /// For how long it must be so all along, `1s` to `1d`.
        "for" => lasting: Period,
        /// With fewer requests (for requestRate: fewer that were due; for diffRate: fewer comparisons)
        /// in that time nothing is said. Default: 100.
        "minRequests" => min_requests: Option<Whole<1, 1_000_000_000>>,
    }
}

record! {
    /// The errors that a route may spend.
    pub struct Budget {
        /// The part of the route's requests that must be good; less than 100%.
        "objective" => objective: Percent,
        /// Over how long, `1m` to `1d`: one proxy remembers a day.
        "window" => window: Period,
        /// Ramps stop while less than this is left. Default: `0%`.
        "freezeBelow" => freeze_below: Option<Percent>,
    }
}

record! {
    /// How the gate opens again: by letting few requests through and looking.
    pub struct Reopen {
        /// How long after it shut, at least `1s`; twice as long after each failure.
        "after" => after: Period,
        /// The longest wait after several failures.
        "max" => max: Period,
    }
}
