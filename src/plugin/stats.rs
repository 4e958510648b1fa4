//! The metrics of one policy in one worker: made at the start, told once a second.

use super::experiments::Experiments;
use super::flags::FlagStats;
use super::series::{BudgetStats, Has, Id, ShadowStats, SideStats};
use crate::assign::Trust;
use crate::assign::route::{Route, Side};
use crate::gate::RouteSettings;
use crate::health::totals::Totals;
use crate::policy::Policy;
use crate::report::metric::{self, Metric};
use crate::report::state::Filter;
use std::cell::Cell;

/// Counts in the worker until they are told.
#[derive(Debug)]
pub struct Pending {
    id: Id,
    more: Cell<u64>,
}

impl Pending {
    /// Nothing yet.
    pub fn new(id: Id) -> Self {
        Self {
            id,
            more: Cell::new(0),
        }
    }

    /// Nothing yet of the series of `metric` with these labels.
    #[inline(never)]
    pub fn of(metric: &Metric, labels: &[&str]) -> Self {
        Self::new(Id::define(metric, &metric.with(labels)))
    }

    /// Counts so many more.
    pub fn count(&self, more: u64) {
        self.more.set(self.more.get().saturating_add(more));
    }

    /// What all workers told.
    pub fn told(&self) -> u64 {
        self.id.get()
    }

    /// Tells what was counted.
    pub fn tell(&self) {
        self.id.add(self.more.take());
    }
}

/// The metrics of one policy.
#[derive(Debug)]
pub struct Stats {
    routes: Vec<Vec<SideStats>>,
    budgets: Vec<Option<BudgetStats>>,
    shadows: Vec<Option<ShadowStats>>,
    /// The flags.
    pub flags: FlagStats,
    /// The experiments.
    pub experiments: Experiments,
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
        let trust = assigner.map_or(Trust::Edge, |assigner| assigner.trust);
        let routes = assigner.map_or(&[][..], |assigner| &assigner.routes);
        let sides = |route: &Route| {
            let has = policy.map_or_else(Has::default, |policy| has(policy, route));
            let sides = metric::sides(route);
            sides
                .map(|side| SideStats::define(route, side, trust, has))
                .collect()
        };
        let mut routes: Vec<Vec<SideStats>> = routes.iter().map(sides).collect();
        routes.push(vec![SideStats::unrouted()]);
        let budget = |(route, gates): (&Route, &RouteSettings)| {
            let has_one = gates.budget.is_some();
            has_one.then(|| BudgetStats::define(&route.name))
        };
        let budgets = policy.map_or_else(Vec::new, |policy| {
            let routes = policy.assigner.routes.iter().zip(&policy.gates);
            routes.map(budget).collect()
        });
        Self {
            routes,
            budgets,
            shadows: policy.map_or_else(Vec::new, ShadowStats::of_routes),
            flags: FlagStats::define(policy),
            experiments: Experiments::define(policy),
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

    /// The error budget of a route, if it has one.
    pub fn budget(&self, route: usize) -> Option<&BudgetStats> {
        self.budgets.get(route)?.as_ref()
    }

    /// The shadow of a route, if it has one.
    pub fn shadow(&self, route: usize) -> Option<&ShadowStats> {
        self.shadows.get(route)?.as_ref()
    }

    /// Sets the gauges to 0 of what `policy`, whose metrics these are, has and `successor` has not:
    /// the proxy can't take a series back.
    pub fn retire(&self, policy: &Policy, successor: &Policy) {
        self.flags.retire(policy, successor);
        self.experiments.retire(policy, successor);
        for (index, route) in policy.assigner.routes.iter().enumerate() {
            let routes = &successor.assigner.routes;
            let place = routes.iter().position(|known| known.name == route.name);
            let stays = |side: Side| {
                let known = place.and_then(|place| routes.get(place));
                let name = route.side_name(side);
                known
                    .is_some_and(|known| metric::sides(known).any(|of| known.side_name(of) == name))
            };
            let sides = metric::sides(route).zip(self.sides(index));
            let gone = sides.filter(|(side, _)| !stays(*side));
            gone.for_each(|(_, stats)| stats.clear());
            let has_budget = place.and_then(|place| successor.gates.get(place)?.budget.as_ref());
            if let (Some(budget), None) = (self.budget(index), has_budget) {
                budget.left.set(0);
                budget.frozen.set(0);
            }
            let shadow = place.and_then(|place| successor.shadow(place));
            let compares = shadow.is_some_and(|shadow| shadow.settings.comparing.is_some());
            if let (Some(shadow), false) = (self.shadow(index), compares) {
                shadow.clear();
            }
        }
    }

    /// Counts a host call that failed.
    pub fn host_error(&self) {
        self.host_errors.count(1);
    }

    /// Counts a stream of a route's variant that was cut.
    pub fn was_cut(&self, route: usize, variant: usize) {
        let side = self.sides(route).get(variant.saturating_add(1));
        if let Some(cut) = side.and_then(|side| side.cut.as_ref()) {
            cut.count(1);
        }
    }

    /// Counts what was lost.
    pub fn dropped(&self, counts: u64) {
        self.dropped.count(counts);
    }

    /// What the filter counts of itself, over all workers: the proxy adds it up.
    pub fn of_the_filter(&self) -> Filter {
        Filter {
            host_errors: self.host_errors.told(),
            dropped: self.dropped.told(),
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
        self.flags.tell();
        self.experiments.tell();
    }
}

fn has(policy: &Policy, route: &Route) -> Has {
    let experiment = policy.experiment(route.id.0);
    Has {
        bytes: policy.health.iter().any(|health| health.bytes),
        cuts: policy.cuts(route.id.0),
        goals: experiment.is_some_and(|experiment| !experiment.goals.is_empty()),
    }
}
