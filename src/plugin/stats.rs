//! Counts of this worker, told to the proxy once a tick: a request costs no metric call.

use super::host::{self, Kind};
use crate::assign::decide::{Decision, Reason};
use crate::assign::{Assigner, Trust};
use crate::report::metric::{self, DecisionSeries};
use std::cell::Cell;

/// One counter of the proxy and what is not yet added to it.
#[derive(Debug)]
struct Counter {
    /// None if the host refused to make it; counts are then dropped.
    id: Option<u32>,
    more: Cell<u32>,
}

impl Counter {
    fn define(name: &str) -> Self {
        Self {
            id: host::define_metric(Kind::Counter, name).ok(),
            more: Cell::new(0),
        }
    }

    fn count(&self) {
        self.more.set(self.more.get().saturating_add(1));
    }

    fn flush(&self) {
        let more = self.more.take();
        if let (Some(id), 1..) = (self.id, more)
            && host::add_to_metric(id, more).is_err()
        {
            self.more.set(more);
        }
    }
}

/// The counters of one policy.
#[derive(Debug)]
pub struct Stats {
    routes: Vec<Vec<(DecisionSeries, Counter)>>,
    no_route: Counter,
    no_policy: Counter,
    host_errors: Counter,
}

impl Stats {
    /// Makes the counters of `assigner`; all read 0 from then on.
    pub fn define(assigner: Option<&Assigner>) -> Self {
        let trust = assigner.map_or(Trust::Edge, |assigner| assigner.trust);
        let routes = assigner.map_or(&[][..], |assigner| &assigner.routes);
        let counters = |route| {
            let series = metric::decisions_of(route, trust).into_iter();
            let counter = |series| {
                (
                    series,
                    Counter::define(&metric::decisions_name(route, series)),
                )
            };
            series.map(counter).collect()
        };
        Self {
            routes: routes.iter().map(counters).collect(),
            no_route: Counter::define(&metric::unrouted_name(Reason::NoRoute)),
            no_policy: Counter::define(&metric::unrouted_name(Reason::NoPolicy)),
            host_errors: Counter::define(metric::HOST_ERRORS),
        }
    }

    /// Counts a decision.
    pub fn decided(&self, decision: &Decision<'_>) {
        let Some(route) = decision.route else {
            match decision.reason {
                Reason::NoPolicy => self.no_policy.count(),
                _ => self.no_route.count(),
            }
            return;
        };
        let series = DecisionSeries {
            side: decision.side,
            reason: decision.reason,
        };
        let counters = self.routes.get(route.id.0);
        let counter = counters.and_then(|counters| counters.iter().find(|(s, _)| *s == series));
        if let Some((_, counter)) = counter {
            counter.count();
        }
    }

    /// Counts a host call that failed.
    pub fn host_error(&self) {
        self.host_errors.count();
    }

    /// Tells the proxy what was counted since the last time.
    pub fn flush(&self) {
        let routes = self.routes.iter().flatten().map(|(_, counter)| counter);
        let others = [&self.no_route, &self.no_policy, &self.host_errors];
        routes.chain(others).for_each(Counter::flush);
    }
}
