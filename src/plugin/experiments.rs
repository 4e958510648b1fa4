//! Experiments: exposures and conversions are counted by all workers; the one that watches says whether
//! the sample ratio holds.
//!
//! A line in the log for each exposure is a host call, and the proxy writes it under a lock that all its
//! threads share. So a worker writes at most [`MOST_LINES`] in a second; how many it left out is a metric.

use super::host::{self, Level};
use super::series::Id;
use super::stats::Pending;
use crate::assign::Mode;
use crate::assign::decide::Decision;
use crate::assign::ramp::Millis;
use crate::assign::route::{Route, Side};
use crate::assign::share::Slot;
use crate::health::callers::Caller;
use crate::health::counters::Exposure;
use crate::health::experiment::{Experiment, Goals, is_exposure};
use crate::health::outcome::Outcome;
use crate::health::statuses::Status;
use crate::policy::Policy;
use crate::report::metric;
use crate::report::state::Experimented;
use crate::report::state_flags::Values;
use crate::request::Request;
use crate::text::joined;
use std::cell::Cell;

/// Lines of a worker in a second: as many as its log can be expected to take without being felt.
const MOST_LINES: u32 = 1_000;

/// The metrics of all experiments, by route.
#[derive(Debug, Default)]
pub struct Experiments {
    routes: Vec<Option<Series>>,
    /// The running second, and the lines that were written in it.
    lines: Cell<(i64, u32)>,
}

#[derive(Debug)]
struct Series {
    /// Side by side, the exposures and then the conversions of each goal.
    counts: Vec<Pending>,
    goals: usize,
    mismatch: Id,
    /// Lines that were left out; there if exposures are logged.
    unlogged: Option<Pending>,
}

/// What is kept of an exposure until it ends.
#[derive(Debug, Clone, Copy)]
pub struct Exposed {
    caller: Caller,
    goals: Goals,
}

impl Experiments {
    /// Those of the routes of `policy`.
    pub fn define(policy: Option<&Policy>) -> Self {
        let routes = policy.map_or_else(Vec::new, |policy| {
            let routes = policy.assigner.routes.iter().zip(&policy.experiments);
            let series = |(route, experiment): (&Route, &Option<Experiment>)| {
                Some(Series::define(route, experiment.as_ref()?))
            };
            routes.map(series).collect()
        });
        Self {
            routes,
            lines: Cell::default(),
        }
    }

    /// Counts the request if it is an exposure; gives what its end needs to know of it.
    pub fn decided(
        &self,
        policy: &Policy,
        request: &Request<'_>,
        decision: &Decision<'_>,
        now: Millis,
    ) -> Option<Exposed> {
        let series = self.of(decision.route?.id.0)?;
        self.exposed(series, policy, request, decision, now)
    }

    #[inline(never)]
    fn exposed(
        &self,
        series: &Series,
        policy: &Policy,
        request: &Request<'_>,
        decision: &Decision<'_>,
        now: Millis,
    ) -> Option<Exposed> {
        let route = decision.route.filter(|_| is_exposure(decision.reason))?;
        let experiment = policy.experiment(route.id.0)?;
        series.side(decision.side)?.first()?.count(1);
        if let Some(unlogged) = &series.unlogged
            && policy.assigner.mode == Mode::Enforce
        {
            match self.has_room(now) {
                true => host::log(Level::Info, &line(route, decision)),
                false => unlogged.count(1),
            }
        }
        Some(Exposed {
            caller: Caller(decision.caller?),
            goals: experiment.asked(request),
        })
    }

    /// Counts the goals that an exposure of `route` met.
    #[inline(never)]
    pub fn ended(
        &self,
        policy: &Policy,
        (route, side): (usize, Side),
        exposed: Exposed,
        status: Option<Status>,
        outcome: Outcome,
    ) -> Option<Exposure> {
        let experiment = policy.experiment(route)?;
        let met = experiment.met(exposed.goals, status, outcome);
        let (_, goals) = self.of(route)?.side(side)?.split_first()?;
        for (place, goal) in goals.iter().enumerate() {
            goal.count(u64::from(met.has(place)));
        }
        Some(Exposure {
            caller: exposed.caller,
            converted: met.has(0),
        })
    }

    fn of(&self, route: usize) -> Option<&Series> {
        self.routes.get(route)?.as_ref()
    }

    fn has_room(&self, now: Millis) -> bool {
        let second = now.0.div_euclid(1_000);
        let written = match self.lines.get() {
            (running, written) if running == second => written,
            _ => 0,
        };
        let has_room = written < MOST_LINES;
        self.lines
            .set((second, written.saturating_add(u32::from(has_room))));
        has_room
    }

    /// Tells what was counted.
    pub fn tell(&self) {
        for series in self.routes.iter().flatten() {
            let counts = series.counts.iter();
            counts.chain(&series.unlogged).for_each(Pending::tell);
        }
    }

    /// Says whether the sides of a route get other parts of the callers than they are to get.
    pub fn show(&self, route: usize, is_mismatch: Option<bool>) {
        if let (Some(series), Some(is_mismatch)) = (self.of(route), is_mismatch) {
            series.mismatch.set(u64::from(is_mismatch));
        }
    }

    /// What all workers counted of a route, side by side.
    pub fn counts<'p>(&self, policy: &'p Policy, route: usize) -> Vec<Experimented<'p>> {
        let (Some(experiment), Some(series)) = (policy.experiment(route), self.of(route)) else {
            return Vec::new();
        };
        let mut sides = Vec::new();
        for side in series.counts.chunks(series.goals.saturating_add(1)) {
            let mut told = side.iter().map(Pending::told);
            let exposures = told.next().unwrap_or(0);
            let names = experiment.goals.iter().map(|goal| goal.name.as_str());
            let conversions = Values(names.zip(told).collect());
            sides.push(Experimented {
                exposures,
                conversions,
            });
        }
        sides
    }

    /// Sets the gauges to 0 of what `policy`, whose metrics these are, has and `successor` has not.
    pub fn retire(&self, policy: &Policy, successor: &Policy) {
        for (place, route) in policy.assigner.routes.iter().enumerate() {
            let known = successor.assigner.routes.iter().zip(&successor.experiments);
            let mut known = known.filter(|(known, _)| known.name == route.name);
            if !known.any(|(_, experiment)| experiment.is_some()) {
                self.show(place, Some(false));
            }
        }
    }
}

impl Series {
    fn define(route: &Route, experiment: &Experiment) -> Self {
        let name = route.name.as_str();
        let mut counts = Vec::new();
        for side in metric::sides(route) {
            let variant = route.side_name(side);
            counts.push(Pending::of(&metric::EXPOSURES, &[name, variant]));
            for goal in &experiment.goals {
                counts.push(Pending::of(
                    &metric::CONVERSIONS,
                    &[name, variant, &goal.name],
                ));
            }
        }
        let mismatch = &metric::SAMPLE_RATIO_MISMATCH;
        Self {
            counts,
            goals: experiment.goals.len(),
            mismatch: Id::define(mismatch, &mismatch.with(&[name])),
            unlogged: experiment
                .exposure_log
                .then(|| Pending::of(&metric::EXPOSURES_UNLOGGED, &[name])),
        }
    }

    /// The exposures and the conversions of a side.
    fn side(&self, side: Side) -> Option<&[Pending]> {
        let place = match side {
            Side::Stable => 0,
            Side::Variant(index) => index.saturating_add(1),
        };
        self.counts.chunks(self.goals.saturating_add(1)).nth(place)
    }
}

/// An exposure for who analyses elsewhere. Names are the policy's and need no escapes; the slot is the
/// one thing that comes of the caller, a hash.
fn line(route: &Route, decision: &Decision<'_>) -> String {
    let slot = decision.slot.map_or(0, Slot::get).to_string();
    joined(&[
        "serinus: exposure {\"route\":\"",
        &route.name,
        "\",\"variant\":\"",
        route.side_name(decision.side),
        "\",\"slot\":",
        &slot,
        "}",
    ])
}
