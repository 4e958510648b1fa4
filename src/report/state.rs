//! The state document, `/serinus/state.json`: what the filter knows, for machines.
//!
//! docs/state.md describes every field, and a test holds the two together. The document is made of
//! values alone, and the same values give the same bytes: fields come in the order in which they
//! stand below, hosts by their errors and then by address. It holds no data of callers: names and
//! problems of the policy, counts, addresses of upstream hosts, and paths of differences between
//! their answers. All numbers are whole: shares in parts per million, times in microseconds.

use super::state_flags::{Flag, Values};
use super::state_gate::{Gate, GateView};
use super::state_shadow::{Shadow, ShadowView};
use crate::assign::decide::Reason;
use crate::assign::ramp::Millis;
use crate::assign::share::Share;
use crate::health::clock::Micros;
use crate::health::counters::Counters;
use crate::health::hosts::{self, Tally};
use crate::health::latency::{Latencies, Percentiles};
use crate::health::outcome::{OUTCOMES, Outcome};
use crate::health::share::Seen;
use crate::health::totals::{Side, Totals};
use crate::health::watch::RouteWatch;
use crate::health::window::{MINUTES, Span};
use crate::sorted::sorted_by;
use serde::{Serialize, Serializer};
use std::borrow::Cow;

/// The form of the document. A field that is added does not change it; one that goes or means
/// something else does.
pub const VERSION: u32 = 1;

/// Minutes of latencies that a minute is told by: the running one may have just begun.
const LAST_MINUTE: usize = 2;

/// What is told of the filter itself.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The moment.
    pub now: Millis,
    /// The proxy, by the name of its node.
    pub proxy: Option<&'a str>,
    /// The policy in force; with none all is stable.
    pub policy: Option<InForce<'a>>,
    /// The newest policy, if it was refused.
    pub rejected: Option<Rejected<'a>>,
    /// What the filter counts of itself.
    pub filter: Filter,
}

/// The policy in force.
#[derive(Debug, Clone, Copy)]
pub struct InForce<'a> {
    /// Its name.
    pub name: &'a str,
    /// A text that tells it from others.
    pub version: &'a str,
    /// Since when it is in force.
    pub since: Millis,
}

/// A policy that was refused.
#[derive(Debug, Clone, Copy)]
pub struct Rejected<'a> {
    /// A text that tells it from others.
    pub version: &'a str,
    /// When it was given.
    pub since: Millis,
    /// What is wrong with it.
    pub problems: &'a [String],
}

/// What the filter counts of itself, over all workers.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Filter {
    /// Host calls that failed.
    pub host_errors: u64,
    /// Work that was left out because a bound was reached.
    pub dropped: u64,
}

/// What is told of a route.
#[derive(Debug, Clone, Copy)]
pub struct RouteView<'a> {
    /// Its counts.
    pub watch: &'a RouteWatch,
    /// The share that each side is to get now, in the order of the watch's sides.
    pub asked: &'a [Share],
    /// The gate of each side, in the same order; stable has none.
    pub gates: &'a [Option<GateView<'a>>],
    /// The error budget, if the route has one.
    pub budget: Option<BudgetView>,
    /// The shadow, if the route has one.
    pub shadow: Option<ShadowView<'a>>,
    /// What the experiment counted of each side; empty if the route has none.
    pub experiment: &'a [Experimented<'a>],
}

/// What an experiment counted of a side.
#[derive(Debug, Clone)]
pub struct Experimented<'a> {
    /// Requests that the key gave this side.
    pub exposures: u64,
    /// Those that met a goal, by the goals' names.
    pub conversions: Values<'a>,
}

/// What is told of an error budget.
#[derive(Debug, Clone, Copy)]
pub struct BudgetView {
    /// The part that is left, of one.
    pub left: f64,
    /// Whether ramps stand still for it.
    pub frozen: bool,
}

#[derive(Debug, Serialize)]
struct Budget {
    left_ppm: u32,
    frozen: bool,
}

impl Budget {
    fn of(view: BudgetView) -> Self {
        Self {
            left_ppm: ppm(view.left),
            frozen: view.frozen,
        }
    }
}

/// Parts of one; a float's `as` saturates.
fn ppm(part: f64) -> u32 {
    (part * 1e6).round() as u32
}

/// The document; write it with any serializer.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    version: u32,
    serinus: &'static str,
    now_ms: i64,
    proxy: Option<&'a str>,
    policy: Option<Policy<'a>>,
    rejected: Option<Refused<'a>>,
    filter: Filter,
    routes: Vec<Route<'a>>,
    flags: Vec<Flag<'a>>,
}

impl<'a> Document<'a> {
    /// What is known at this moment.
    pub fn of(about: &About<'a>, routes: &[RouteView<'a>]) -> Self {
        let routes = routes.iter().map(|view| Route::of(*view, about.now));
        Self {
            version: VERSION,
            serinus: env!("CARGO_PKG_VERSION"),
            now_ms: about.now.0,
            proxy: about.proxy,
            policy: about.policy.map(|policy| Policy {
                name: policy.name,
                version: policy.version,
                since_ms: policy.since.0,
                age_ms: about.now.0.saturating_sub(policy.since.0).max(0),
            }),
            rejected: about.rejected.map(|rejected| Refused {
                version: rejected.version,
                since_ms: rejected.since.0,
                problems: rejected.problems,
            }),
            filter: about.filter,
            routes: routes.collect(),
            flags: Vec::new(),
        }
    }

    /// The same with the flags.
    #[must_use]
    pub fn with_flags(self, flags: Vec<Flag<'a>>) -> Self {
        Self { flags, ..self }
    }

    /// As JSON; nothing if it cannot be written, which none of its values can bring about.
    pub fn to_json(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

#[derive(Debug, Serialize)]
struct Policy<'a> {
    name: &'a str,
    version: &'a str,
    since_ms: i64,
    age_ms: i64,
}

#[derive(Debug, Serialize)]
struct Refused<'a> {
    version: &'a str,
    since_ms: i64,
    problems: &'a [String],
}

#[derive(Debug, Serialize)]
struct Route<'a> {
    route: &'a str,
    slow_us: Option<u64>,
    dropped: u64,
    budget: Option<Budget>,
    shadow: Option<Shadow<'a>>,
    sample_ratio_mismatch: Option<bool>,
    variants: Vec<Variant<'a>>,
    other_hosts: Hosted,
}

impl<'a> Route<'a> {
    fn of(view: RouteView<'a>, now: Millis) -> Self {
        let watch = view.watch;
        let totals = watch.totals();
        let variants = watch.sides().enumerate();
        let others = totals.map_or_else(Tally::default, |totals| totals.hosts.others());
        Self {
            route: watch.name(),
            slow_us: watch.slow_bound().map(|bound| bound.0),
            dropped: totals.map_or(0, |totals| totals.dropped),
            budget: view.budget.map(Budget::of),
            shadow: view.shadow.map(Shadow::of),
            sample_ratio_mismatch: watch.sample_ratio_mismatch(),
            variants: variants
                .map(|(place, name)| Variant::of(view, place, name, now))
                .collect(),
            other_hosts: Hosted::of(others),
        }
    }
}

#[derive(Debug, Serialize)]
struct Variant<'a> {
    variant: &'a str,
    share: Shares,
    decisions: Decisions,
    outcomes: Outcomes,
    attempts: u64,
    bytes: Bytes,
    failing_callers: Failing,
    last_minute: Option<Window>,
    last_ten_minutes: Option<Window>,
    hosts: Vec<Host<'a>>,
    gate: Option<Gate>,
    exposures: Option<u64>,
    conversions: Option<&'a Values<'a>>,
}

impl<'a> Variant<'a> {
    fn of(view: RouteView<'a>, place: usize, name: &'a str, now: Millis) -> Self {
        let watch = view.watch;
        let side = watch.totals().and_then(|totals| totals.side(name));
        let nothing = Side::default();
        let Side {
            counters, failing, ..
        } = side.unwrap_or(&nothing);
        let failing = failing.estimate(now);
        let (received, sent) = counters.bytes();
        let asked = view.asked.get(place).copied();
        let gate = view.gates.get(place).copied().flatten();
        let experiment = view.experiment.get(place);
        Self {
            variant: name,
            share: Shares::of(asked, watch.share(place)),
            decisions: Decisions::of(counters),
            outcomes: Outcomes::of(counters.outcomes()),
            attempts: counters.attempts(),
            bytes: Bytes { received, sent },
            failing_callers: Failing {
                callers: failing.callers,
                at_least: failing.at_least,
            },
            last_minute: Window::of(watch, place, Span::Minute, LAST_MINUTE),
            last_ten_minutes: Window::of(watch, place, Span::TenMinutes, MINUTES),
            hosts: watch
                .totals()
                .map_or_else(Vec::new, |totals| hosts_of(totals, name)),
            gate: gate.map(Gate::of),
            exposures: experiment.map(|counted| counted.exposures),
            conversions: experiment.map(|counted| &counted.conversions),
        }
    }
}

#[derive(Debug, Serialize)]
struct Shares {
    asked_ppm: Option<u32>,
    drawn_at_ppm: Option<u32>,
    seen_ppm: Option<u32>,
    draws: u64,
    gap_can_be_chance: bool,
}

impl Shares {
    fn of(asked: Option<Share>, seen: Option<Seen>) -> Self {
        Self {
            asked_ppm: asked.map(Share::ppm),
            drawn_at_ppm: seen.map(|seen| ppm(seen.asked)),
            seen_ppm: seen.map(|seen| ppm(seen.seen)),
            draws: seen.map_or(0, |seen| seen.draws.round() as u64),
            gap_can_be_chance: seen.is_none_or(|seen| seen.chance),
        }
    }
}

/// Decisions by the reasons' words.
#[derive(Debug)]
struct Decisions(Vec<(Reason, u64)>);

impl Decisions {
    fn of(counters: &Counters) -> Self {
        Self(counters.decisions().collect())
    }
}

impl Serialize for Decisions {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(reason, count)| (reason.word(), count)))
    }
}

/// Requests by the outcomes' words.
#[derive(Debug)]
struct Outcomes([u64; OUTCOMES]);

impl Outcomes {
    fn of(counts: &[u64]) -> Self {
        let mut all = [0; OUTCOMES];
        all.iter_mut()
            .zip(counts)
            .for_each(|(to, count)| *to = *count);
        Self(all)
    }
}

impl Serialize for Outcomes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let words = Outcome::ALL.into_iter().map(Outcome::as_str);
        to.collect_map(words.zip(&self.0))
    }
}

#[derive(Debug, Serialize)]
struct Bytes {
    received: u64,
    sent: u64,
}

#[derive(Debug, Serialize)]
struct Failing {
    callers: u32,
    at_least: bool,
}

#[derive(Debug, Serialize)]
struct Window {
    outcomes: Outcomes,
    latency_us: Option<Quantiles>,
}

impl Window {
    /// Nothing for a side that has no windows.
    fn of(watch: &RouteWatch, place: usize, span: Span, minutes: usize) -> Option<Self> {
        let windows = watch.windows();
        let latencies = windows.latencies(place, minutes)?;
        Some(Self {
            outcomes: Outcomes(windows.outcomes(place, span)?),
            latency_us: Latencies(&latencies).percentiles().map(Quantiles::of),
        })
    }
}

#[derive(Debug, Serialize)]
struct Quantiles {
    p50: u64,
    p95: u64,
    p99: u64,
}

impl Quantiles {
    fn of(percentiles: Percentiles) -> Self {
        Self {
            p50: percentiles.p50.0,
            p95: percentiles.p95.0,
            p99: percentiles.p99.0,
        }
    }
}

#[derive(Debug, Serialize)]
struct Host<'a> {
    address: Cow<'a, str>,
    #[serde(flatten)]
    tally: Hosted,
    seen_ms: i64,
}

/// The hosts of the side named `name`, those with the most errors first.
fn hosts_of<'a>(totals: &'a Totals, name: &str) -> Vec<Host<'a>> {
    let place = totals.sides.iter().position(|side| *side.name == *name);
    let of_side = |host: &&hosts::Host| Some(host.side) == place;
    let hosts = totals.hosts.all().iter().filter(of_side);
    let hosts = sorted_by(hosts, |a, b| {
        let order = b.tally.errors.cmp(&a.tally.errors);
        order.then_with(|| a.address.cmp(&b.address))
    });
    let told = hosts.into_iter().map(|host| Host {
        address: String::from_utf8_lossy(&host.address),
        tally: Hosted::of(host.tally),
        seen_ms: host.seen.0,
    });
    told.collect()
}

#[derive(Debug, Serialize)]
struct Hosted {
    requests: u64,
    errors: u64,
    mean_us: Option<u64>,
}

impl Hosted {
    fn of(tally: Tally) -> Self {
        Self {
            requests: tally.requests,
            errors: tally.errors,
            mean_us: tally.mean().map(|Micros(mean)| mean),
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
