//! What one worker counts under one policy, and how it is handed on.
//!
//! Counting is memory of the worker alone. Once a second the counts go to the ledger in shared data
//! and to the proxy's metrics, both or neither: while other workers are quicker at the ledger they
//! wait, and nothing is lost.

use super::host;
use super::stats::Stats;
use super::store::{Ledger, Taken};
use crate::assign::decide::Decision;
use crate::assign::gates::Gates;
use crate::assign::ramp::Millis;
use crate::assign::route::{STABLE, Side};
use crate::assign::share::Share;
use crate::health::callers::Caller;
use crate::health::clock::{Clock, Micros, Started, Wall};
use crate::health::counters::Request;
use crate::health::route::RouteHealth;
use crate::health::slow;
use crate::health::turns;
use crate::policy::{DEFAULT_NAME, Policy};
use crate::report::metric::NO_ROUTE;
use std::cell::{Cell, RefCell};

/// What is to be handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// The routes of a turn.
    Turn(usize),
    /// All that was counted.
    All,
    /// The same, and nothing can be left for a next time.
    Last,
}

impl Flush {
    /// What it means that the host took something so: nothing waits the last time.
    pub fn settles(self, taken: Taken) -> Taken {
        match (self, taken) {
            (Self::Last, Taken::Later) => Taken::Lost,
            (_, taken) => taken,
        }
    }

    /// Whether the route at `index` is due.
    pub fn takes(self, index: usize) -> bool {
        match self {
            Self::Turn(turn) => turns::of(index) == turn,
            Self::All | Self::Last => true,
        }
    }
}

/// The counts of one worker under one policy.
#[derive(Debug)]
pub struct Counting {
    clock: RefCell<Clock>,
    /// The last time that was looked up; what needs no more than the second takes it from here.
    now: Cell<Millis>,
    routes: RefCell<Vec<RouteHealth>>,
    /// Stable's slow bound of each route.
    slow: RefCell<Vec<Option<Micros>>>,
    ledger: Ledger,
}

impl Counting {
    /// Nothing yet of the routes of `policy`, nor of the requests that none of them takes. Those
    /// without a policy count under its default name.
    pub fn new(policy: Option<&Policy>) -> Self {
        let routes = policy.map_or(&[][..], |policy| &policy.assigner.routes);
        let name = policy.map_or(DEFAULT_NAME, |policy| &policy.name);
        let mut counted: Vec<RouteHealth> = routes.iter().map(RouteHealth::of).collect();
        counted.push(RouteHealth::new(NO_ROUTE, [STABLE]));
        Self {
            clock: RefCell::default(),
            now: Cell::new(Millis(0)),
            routes: RefCell::new(counted),
            slow: RefCell::new(vec![None; routes.len()]),
            ledger: Ledger::new(name),
        }
    }

    /// Looks at the clock.
    pub fn look(&self, now: Wall) {
        self.clock.borrow_mut().look(now);
        self.now.set(now.millis());
    }

    /// A request begins.
    pub fn start(&self, now: Wall) -> Started {
        self.now.set(now.millis());
        self.clock.borrow_mut().start(now)
    }

    /// How long it took until `now`.
    pub fn since(&self, started: Started, now: Wall) -> Option<Micros> {
        self.now.set(now.millis());
        self.clock.borrow_mut().since(started, now)
    }

    /// How long it has been going on, by the last look at the clock.
    pub fn lasted(&self, started: Started) -> Option<Micros> {
        self.clock.borrow().lasted(started)
    }

    /// Stable's slow bound of `route`.
    pub fn slow_bound(&self, route: usize) -> Option<Micros> {
        self.slow.borrow().get(route).copied().flatten()
    }

    /// Counts a decision, made at `now` while the gates let so much through.
    pub fn decided(&self, decision: &Decision<'_>, now: Millis, passages: &Gates) {
        let mut routes = self.routes.borrow_mut();
        let caller = decision.caller.map(Caller);
        match decision.route {
            Some(route) => {
                if let Some(health) = routes.get_mut(route.id.0) {
                    let asked = |side| route.share_of(side, now, passages);
                    health.decided(decision.side, decision.reason, caller, asked);
                }
            }
            None => {
                if let Some(unrouted) = routes.last_mut() {
                    let nothing = |_| Share::NONE;
                    unrouted.decided(decision.side, decision.reason, caller, nothing);
                }
            }
        }
    }

    /// Counts a request that ended.
    pub fn ended(&self, route: usize, side: Side, request: &Request<'_>) {
        if let Some(health) = self.routes.borrow_mut().get_mut(route) {
            health.record(side, request, self.now.get());
        }
    }

    /// Hands on what was counted. If it is the last time, nothing waits: what the ledger did not
    /// take is told to the metrics alone, and counted as lost. Says whether there was anything.
    pub fn flush(&self, stats: &Stats, which: Flush) -> bool {
        let mut routes = self.routes.borrow_mut();
        let is_due = |index: usize, route: &RouteHealth| which.takes(index) && route.is_dirty();
        let counted = routes.iter().enumerate();
        let due: Vec<&RouteHealth> = counted
            .filter(|(index, route)| is_due(*index, route))
            .map(|(_, route)| route)
            .collect();
        let worked = !due.is_empty();
        if worked {
            let taken = which.settles(self.ledger.add(&due, self.now.get()));
            if taken == Taken::Later {
                return true;
            }
            for (index, route) in routes.iter_mut().enumerate() {
                if is_due(index, route) {
                    stats.tell_route(index, route.delta());
                    stats.dropped(u64::from(taken == Taken::Lost));
                    route.clear();
                }
            }
        }
        stats.tell();
        worked
    }

    /// Takes up what the watcher found out to be slow.
    pub fn learn_slow(&self, policy: &Policy) {
        let Ok(Some(bytes)) = host::shared(&slow::key(&policy.name)) else {
            return;
        };
        let bounds = slow::read(&bytes);
        let mut slow = self.slow.borrow_mut();
        for (bound, route) in slow.iter_mut().zip(&policy.assigner.routes) {
            let known = bounds.iter().find(|(name, _)| *name == route.name);
            *bound = known.map(|(_, bound)| *bound);
        }
    }
}
