//! The metrics of one policy in one worker: made at the start, told once a second.

use super::host::{self, Kind};
use crate::assign::Trust;
use crate::assign::decide::Reason;
use crate::assign::route::{Route, STABLE, Side};
use crate::health::counters::Counters;
use crate::health::latency::value;
use crate::health::outcome::Outcome;
use crate::health::totals::Totals;
use crate::policy::Policy;
use crate::report::metric::{self, Metric};
use crate::report::state::Filter;
use std::cell::Cell;

/// A metric of the proxy; none if the host refused to make it: what it is told is then dropped.
#[derive(Debug, Clone, Copy)]
pub struct Id(Option<u32>);

impl Id {
    fn define(metric: &Metric, name: &str) -> Self {
        let kind = match metric.kind {
            metric::Kind::Counter => Kind::Counter,
            metric::Kind::Gauge => Kind::Gauge,
            metric::Kind::Histogram => Kind::Histogram,
        };
        Self(host::define_metric(kind, name).ok())
    }

    /// Makes a metric without labels.
    pub fn single(metric: &Metric) -> Self {
        Self::define(metric, metric.name)
    }

    /// Adds to a counter. Adding nothing is not told: the host refuses it.
    pub fn add(self, more: u64) {
        if let (Some(id), 1..) = (self.0, more) {
            let _ = host::add_to_metric(id, more);
        }
    }

    /// What a counter or gauge stands at, in the whole proxy; 0 if the host does not say.
    pub fn get(self) -> u64 {
        let value = self.0.and_then(|id| host::metric(id).ok());
        value.unwrap_or(0)
    }

    /// Sets a gauge, or gives a histogram a value.
    pub fn set(self, value: u64) {
        if let Some(id) = self.0 {
            let _ = host::set_metric(id, value);
        }
    }
}

/// Counts in the worker until they are told.
#[derive(Debug)]
struct Pending {
    id: Id,
    more: Cell<u64>,
}

impl Pending {
    fn new(id: Id) -> Self {
        Self {
            id,
            more: Cell::new(0),
        }
    }

    fn count(&self, more: u64) {
        self.more.set(self.more.get().saturating_add(more));
    }

    fn tell(&self) {
        self.id.add(self.more.take());
    }
}

/// The metrics of one side of a route.
#[derive(Debug)]
pub struct SideStats {
    outcomes: Vec<Id>,
    decisions: Vec<(Reason, Id)>,
    attempts: Id,
    latency: Id,
    bytes: Option<(Id, Id)>,
    /// Different callers who had errors.
    pub failing_callers: Id,
    /// The share that is asked.
    pub share_asked: Id,
    /// The share that is seen.
    pub share_seen: Id,
    /// Whether they differ by more than chance.
    pub share_off: Id,
}

impl SideStats {
    fn define(route: &Route, side: Side, trust: Trust, bytes: bool) -> Self {
        let (name, variant) = (route.name.as_str(), route.side_name(side));
        let of = |metric: &Metric| Id::define(metric, &metric.of(name, variant));
        let outcome = |outcome| {
            let name = metric::requests(name, variant, outcome);
            Id::define(&metric::REQUESTS, &name)
        };
        let decision = |reason| {
            let name = metric::decisions(name, variant, reason);
            (reason, Id::define(&metric::DECISIONS, &name))
        };
        Self {
            outcomes: Outcome::ALL.into_iter().map(outcome).collect(),
            decisions: metric::reasons(side, trust).map(decision).collect(),
            attempts: of(&metric::ATTEMPTS),
            latency: of(&metric::LATENCY),
            bytes: bytes.then(|| (of(&metric::RECEIVED), of(&metric::SENT))),
            failing_callers: of(&metric::FAILING_CALLERS),
            share_asked: of(&metric::SHARE_ASKED),
            share_seen: of(&metric::SHARE_SEEN),
            share_off: of(&metric::SHARE_OFF),
        }
    }

    /// Requests that no route took are decided, and no more.
    fn unrouted() -> Self {
        let decision = |reason| {
            let name = metric::decisions(metric::NO_ROUTE, STABLE, reason);
            (reason, Id::define(&metric::DECISIONS, &name))
        };
        let nothing = Id(None);
        Self {
            outcomes: Vec::new(),
            decisions: [Reason::NoPolicy, Reason::NoRoute].map(decision).into(),
            attempts: nothing,
            latency: nothing,
            bytes: None,
            failing_callers: nothing,
            share_asked: nothing,
            share_seen: nothing,
            share_off: nothing,
        }
    }

    fn tell(&self, counters: &Counters) {
        for (id, count) in self.outcomes.iter().zip(counters.outcomes()) {
            id.add(*count);
        }
        for (reason, count) in counters.decisions() {
            if let Some((_, id)) = self.decisions.iter().find(|(known, _)| *known == reason) {
                id.add(count);
            }
        }
        self.attempts.add(counters.attempts());
        if let Some((received, sent)) = self.bytes {
            received.add(counters.bytes().0);
            sent.add(counters.bytes().1);
        }
        self.tell_latencies(counters);
    }

    /// The host takes one value at a time; what a second brought is told here and not while
    /// requests wait, by the buckets it was counted in.
    fn tell_latencies(&self, counters: &Counters) {
        let buckets = counters.latencies().0.iter().enumerate();
        for (bucket, count) in buckets.filter(|(_, count)| **count > 0) {
            let millis = value(bucket).0.saturating_add(500) / 1_000;
            (0..*count).for_each(|_| self.latency.set(millis));
        }
    }
}

/// The metrics of one policy.
#[derive(Debug)]
pub struct Stats {
    routes: Vec<Vec<SideStats>>,
    host_errors: Pending,
    dropped: Pending,
    /// What the work of a second took.
    pub tick: Id,
    /// How long the policy has been in force.
    pub policy_age: Id,
}

impl Stats {
    /// Makes the metrics of `policy`; all counters read 0 from then on.
    pub fn define(policy: Option<&Policy>) -> Self {
        let assigner = policy.map(|policy| &policy.assigner);
        let bytes = policy.is_some_and(|policy| policy.health.iter().any(|health| health.bytes));
        let trust = assigner.map_or(Trust::Edge, |assigner| assigner.trust);
        let routes = assigner.map_or(&[][..], |assigner| &assigner.routes);
        let sides = |route: &Route| {
            let sides = metric::sides(route);
            sides
                .map(|side| SideStats::define(route, side, trust, bytes))
                .collect()
        };
        let mut routes: Vec<Vec<SideStats>> = routes.iter().map(sides).collect();
        routes.push(vec![SideStats::unrouted()]);
        Self {
            routes,
            host_errors: Pending::new(Id::single(&metric::HOST_ERRORS)),
            dropped: Pending::new(Id::single(&metric::DROPPED)),
            tick: Id::single(&metric::TICK),
            policy_age: Id::single(&metric::POLICY_AGE),
        }
    }

    /// The sides of a route, stable first; none if there is no such route. After the last route come
    /// the requests that no route took.
    pub fn sides(&self, route: usize) -> &[SideStats] {
        self.routes.get(route).map_or(&[], Vec::as_slice)
    }

    /// Counts a host call that failed.
    pub fn host_error(&self) {
        self.host_errors.count(1);
    }

    /// Counts what was lost.
    pub fn dropped(&self, counts: u64) {
        self.dropped.count(counts);
    }

    /// What the filter counts of itself, over all workers: the proxy adds it up.
    pub fn of_the_filter(&self) -> Filter {
        Filter {
            host_errors: self.host_errors.id.get(),
            dropped: self.dropped.id.get(),
        }
    }

    /// Tells what was counted of a route.
    pub fn tell_route(&self, route: usize, came: &Totals) {
        for (stats, side) in self.sides(route).iter().zip(&came.sides) {
            stats.tell(&side.counters);
        }
        self.dropped(came.dropped);
    }

    /// Tells what belongs to no route.
    pub fn tell(&self) {
        self.host_errors.tell();
        self.dropped.tell();
    }
}
