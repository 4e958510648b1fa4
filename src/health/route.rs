//! What one worker counted of one route since it last handed it on.
//!
//! Counting touches a handful of numbers and allocates only when a host is seen for the first
//! time. Once a tick the worker adds [`RouteHealth::delta`] to its slot of the [`ledger`](super::ledger) and, when
//! that was taken, clears it; if it was not, the delta waits for the next tick and nothing is lost.
//! A request whose route is gone from the policy counts where it began, because its stream holds on
//! to this; a variant that is not of this route is dropped and told.

use super::callers::Caller;
use super::counters::Request;
use super::totals::Totals;
use crate::assign::decide::Reason;
use crate::assign::ramp::Millis;
use crate::assign::route;
use crate::assign::share::Share;

/// The counts of one worker for one route.
#[derive(Debug)]
pub struct RouteHealth {
    name: Box<str>,
    delta: Totals,
    /// Whether anything was counted.
    dirty: bool,
}

impl RouteHealth {
    /// Nothing yet; `sides` are stable's name and then the variants', in the policy's order.
    pub fn new<'n>(name: &str, sides: impl IntoIterator<Item = &'n str>) -> Self {
        Self {
            name: name.into(),
            delta: Totals::of(sides),
            dirty: false,
        }
    }

    /// Nothing yet of `route`.
    pub fn of(route: &route::Route) -> Self {
        let variants = route.variants.iter().map(|variant| variant.name.as_str());
        Self::new(&route.name, std::iter::once(route::STABLE).chain(variants))
    }

    /// The route's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts a request that ended.
    pub fn record(&mut self, side: route::Side, request: &Request<'_>, now: Millis) {
        self.record_at(place(side), request, now);
    }

    pub(super) fn record_at(&mut self, place: usize, request: &Request<'_>, now: Millis) {
        self.dirty = true;
        let Some(side) = self.delta.sides.get_mut(place) else {
            self.delta.dropped = self.delta.dropped.saturating_add(1);
            return;
        };
        side.counters.count(request);
        if let Some(caller) = request.caller
            && request.outcome.is_error()
        {
            side.failing.add(caller, now);
        }
        if let Some(host) = request.host
            && request.outcome.is_judged()
        {
            let hosts = &mut self.delta.hosts;
            hosts.count(place, host, request.outcome, request.latency, now);
        }
    }

    /// Counts a decision for `side`. One that the shares made (reasons `share` and `rest`, or a gate
    /// that kept out who had drawn the variant) for a caller who is known is a draw too: `asked`
    /// tells the share of each side at that moment, as the gates left it.
    pub fn decided(
        &mut self,
        side: route::Side,
        reason: Reason,
        caller: Option<Caller>,
        asked: impl Fn(route::Side) -> Share,
    ) {
        self.dirty = true;
        let got = place(side);
        if let Some(side) = self.delta.sides.get_mut(got) {
            side.counters.decide(reason);
        }
        let caller = match reason {
            Reason::Share | Reason::Rest | Reason::GateShut | Reason::GateProbing => caller,
            _ => None,
        };
        let Some(caller) = caller else {
            return;
        };
        for (index, side) in self.delta.sides.iter_mut().enumerate() {
            let asked = asked(match index.checked_sub(1) {
                None => route::Side::Stable,
                Some(variant) => route::Side::Variant(variant),
            });
            side.counters.draw(caller, asked, index == got);
        }
    }

    /// What was counted since [`Self::clear`].
    pub fn delta(&self) -> &Totals {
        &self.delta
    }

    /// Whether that is anything.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    #[cfg(test)]
    pub(super) fn merge_for_test(&mut self, counted: &Totals) {
        self.dirty |= counted.sides.iter().any(|side| !side.counters.is_empty());
        self.delta.merge(counted);
    }

    /// Forgets the delta: it is in the ledger.
    pub fn clear(&mut self) {
        self.delta.clear();
        self.dirty = false;
    }
}

fn place(side: route::Side) -> usize {
    match side {
        route::Side::Stable => 0,
        route::Side::Variant(index) => index.saturating_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::clock::Micros;
    use crate::health::outcome::{ErrorClass, Outcome};

    fn request(outcome: Outcome) -> Request<'static> {
        Request {
            outcome,
            latency: Some(Micros(500)),
            attempts: 1,
            bytes: None,
            caller: Some(Caller(1)),
            host: Some(b"/run/app.sock"),
            exposure: None,
        }
    }

    #[test]
    fn requests_count_on_their_side_and_draws_on_all() {
        let mut health = RouteHealth::new("r", ["stable", "canary"]);
        assert!(!health.is_dirty());
        health.record(route::Side::Variant(0), &request(Outcome::Ok), Millis(0));
        health.record(
            route::Side::Stable,
            &request(Outcome::Error(ErrorClass::Grpc)),
            Millis(0),
        );
        let share = |ppm| Share::from_ppm(ppm).unwrap();
        let shares = |side| match side {
            route::Side::Stable => share(900_000),
            route::Side::Variant(_) => share(100_000),
        };
        health.decided(route::Side::Stable, Reason::Rest, Some(Caller(1)), shares);
        // Neither is a draw.
        health.decided(
            route::Side::Variant(0),
            Reason::Rule,
            Some(Caller(1)),
            shares,
        );
        health.decided(route::Side::Stable, Reason::NoKey, None, shares);
        let [stable, canary] = &health.delta().sides[..] else {
            panic!()
        };
        assert_eq!((stable.counters.errors(), canary.counters.judged()), (1, 1));
        assert_eq!(stable.failing.estimate(Millis(0)).callers, 1);
        assert!(canary.failing.is_empty());
        assert_eq!(
            (stable.counters.asked(), canary.counters.asked()),
            (900_000, 100_000)
        );
        assert_eq!(stable.counters.drawn().iter().sum::<u64>(), 1);
        assert_eq!(canary.counters.drawn().iter().sum::<u64>(), 0);
        assert_eq!(
            stable
                .counters
                .decisions()
                .map(|(_, count)| count)
                .sum::<u64>(),
            2
        );
        assert_eq!(health.delta().hosts.all().len(), 2);
        health.clear();
        assert!(!health.is_dirty() && health.delta().sides[0].counters.is_empty());
    }

    #[test]
    fn a_variant_that_is_not_of_the_route_is_dropped_and_told() {
        let mut health = RouteHealth::new("r", ["stable"]);
        health.record(route::Side::Variant(4), &request(Outcome::Ok), Millis(0));
        assert_eq!(health.delta().dropped, 1);
    }
}
