//! The gates: judged by the worker that watches, obeyed by all.

use super::flags;
use super::host::{self, Level};
use super::root::InForce;
use super::series::SideStats;
use super::store;
use crate::assign::Assigner;
use crate::assign::gates::{Gate as Passable, Gates as Passages, Passage};
use crate::assign::ramp::Millis;
use crate::assign::route::{Route, Side};
use crate::assign::share::Share;
use crate::gate::gates::{self, Gates, Spent, Told};
use crate::gate::orders::{self, Order};
use crate::gate::{At, Change, Gate, Held, Position, Ppm, RouteSettings, Shadowed};
use crate::health::counters::Counters;
use crate::health::kept;
use crate::health::tick::{During, Thresholds, tick};
use crate::policy::Policy;
use crate::text::number;
use std::cell::{Ref, RefCell};

/// How the gates stand, as this worker was told.
#[derive(Debug)]
pub struct Obeyed {
    told: RefCell<Option<Vec<u8>>>,
    passages: RefCell<Passages>,
}

impl Obeyed {
    /// As they stand now: a shut gate is so from a worker's first request on.
    pub fn new(policy: Option<&Policy>) -> Self {
        let obeyed = Self {
            told: RefCell::new(None),
            passages: RefCell::new(Passages::OPEN),
        };
        if let Some(policy) = policy {
            *obeyed.passages.borrow_mut() = passages(policy, &[]);
            obeyed.listen(policy);
        }
        obeyed
    }

    /// Takes up what the worker that judges says, if it said anything new.
    pub fn listen(&self, policy: &Policy) {
        self.listen_to_orders(policy);
        if let Some(shed) = flags::shed_now(policy) {
            let mut passages = self.passages.borrow_mut();
            *passages = std::mem::take(&mut *passages).with_shed(shed);
        }
    }

    fn listen_to_orders(&self, policy: &Policy) {
        let Ok(told) = host::shared(&orders::key(&policy.name)) else {
            return;
        };
        if *self.told.borrow() == told {
            return;
        }
        // What is no orders is no news: those before it still hold.
        if let Some(orders) = told.as_deref().and_then(orders::read) {
            let mut standing = self.passages.borrow_mut();
            *standing = passages(policy, &orders).with_shed_of(&standing);
        }
        *self.told.borrow_mut() = told;
    }

    /// Whether this is what was there at the last beat.
    fn heard(&self, orders: &[u8]) -> bool {
        self.told.borrow().as_deref() == Some(orders)
    }

    /// What they let through.
    pub fn passages(&self) -> Ref<'_, Passages> {
        self.passages.borrow()
    }
}

fn passages(policy: &Policy, orders: &[Order<'_>]) -> Passages {
    let routes = policy.assigner.routes.iter().zip(&policy.gates);
    let of_route = |(route, settings): (&Route, &RouteSettings)| {
        let variants = route.variants.iter().zip(&settings.variants);
        let gates = variants.map(|(variant, settings)| {
            let revision = &settings.revision;
            let order = orders::find(orders, &route.name, &variant.name, revision);
            passable(order, settings.held)
        });
        gates.collect()
    };
    Passages::new(routes.map(of_route).collect())
}

/// A person's word first: it holds before the worker that judges has taken it up.
fn passable(order: Option<&Order<'_>>, held: Option<Held>) -> Passable {
    let passage = match (held, order) {
        (Some(Held::Shut), _) => Passage::Shut,
        (Some(Held::Open), _) | (None, None) => Passage::Open,
        (None, Some(order)) => match order.position {
            Position::Open => Passage::Open,
            Position::Probing => Passage::Probing(share(order.probing)),
            Position::Shut => Passage::Shut,
        },
    };
    Passable {
        passage,
        ceiling: order.map_or(Share::ALL, |order| share(order.ceiling)),
    }
}

fn share(ppm: Ppm) -> Share {
    Share::from_ppm(ppm.0).unwrap_or(Share::ALL)
}

/// The gates of all routes, as the worker that judges has them.
#[derive(Debug)]
pub struct Judged {
    routes: Vec<Gates>,
}

/// A route's place and what one of its gates did.
type Changed = (usize, Told);

impl Judged {
    /// Takes up what a predecessor left; the changes that the policy made since are to be
    /// [told](Self::tell).
    pub fn begin(policy: &Policy, now: Millis) -> (Self, Vec<Changed>) {
        let name = &policy.name;
        let bundles = store::values((0..kept::BUNDLES).map(|bundle| gates::key(name, bundle)));
        let left: Vec<(&str, &[u8])> = bundles.iter().flat_map(|value| kept::read(value)).collect();
        let orders = host::shared(&orders::key(name)).ok().flatten();
        let orders = orders.as_deref().and_then(orders::read).unwrap_or_default();
        let mut changed = Vec::new();
        let routes = policy.assigner.routes.iter().zip(&policy.gates);
        let routes = routes.enumerate().map(|(index, (route, settings))| {
            let kept = left.iter().find(|(name, _)| *name == route.name);
            let kept = kept.and_then(|(_, bytes)| Gates::from_bytes(bytes));
            let names = route.variants.iter().map(|variant| variant.name.as_str());
            let was_shut = |variant: &str, revision: &str| {
                let order = orders::find(&orders, &route.name, variant, revision);
                order.is_some_and(|order| order.position != Position::Open)
            };
            let (gates, told) = Gates::take_up(kept, settings, names, was_shut, at(now));
            changed.extend(told.into_iter().map(|told| (index, told)));
            gates
        });
        let judged = Self {
            routes: routes.collect(),
        };
        (judged, changed)
    }

    /// Judges what `came` to the route at `index` in the last second. What its shadow says is said of
    /// the first variant: the policy does not name the one that the shadow's cluster serves.
    pub fn judge(
        &mut self,
        in_force: &InForce,
        policy: &Policy,
        index: usize,
        came: Option<&[Counters]>,
        shadowed: Option<Shadowed>,
        now: Millis,
    ) -> Vec<Changed> {
        let route = policy.assigner.routes.get(index);
        let settings = policy.gates.get(index);
        let (Some(route), Some(settings), Some(gates)) =
            (route, settings, self.routes.get_mut(index))
        else {
            return Vec::new();
        };
        let passages = in_force.obeyed.passages();
        let stable_share = route.share_of(Side::Stable, now, &passages);
        let of_variant = |place: usize, gate: &Gate| {
            let during = During {
                at: now,
                share: route.share_of(Side::Variant(place), now, &passages),
                stable_share,
            };
            let thresholds = Thresholds::of(gate.detector());
            let shadowed = shadowed.filter(|_| place == 0);
            let place = place.saturating_add(1);
            tick(came, place, thresholds, during, shadowed)
        };
        let told = gates.judge(settings, at(now), spent(came), of_variant);
        told.into_iter().map(|told| (index, told)).collect()
    }

    /// Sets the gauges of the route at `index`.
    pub fn show(&self, in_force: &InForce, policy: &Policy, index: usize) {
        let (Some(gates), Some(settings)) = (self.routes.get(index), policy.gates.get(index))
        else {
            return;
        };
        let sides = in_force.stats.sides(index).iter();
        let stats = sides.filter_map(|side: &SideStats| side.gate.as_ref());
        for ((gate, settings), stats) in gates.with(settings).zip(stats) {
            stats.tell(gate, settings);
        }
        if let (Some(left), Some(stats)) =
            (gates.budget_left(settings), in_force.stats.budget(index))
        {
            // A part of one; `as` saturates.
            stats.left.set((left * 1e6).round() as u64);
            stats.frozen.set(u64::from(gates.is_frozen(settings)));
        }
    }

    /// Tells what changed: a line in the log and a count each, and the gates are kept at once.
    pub fn tell(&self, in_force: &InForce, policy: &Policy, changed: &[Changed]) {
        for (index, (place, change)) in changed {
            let Some(route) = policy.assigner.routes.get(*index) else {
                continue;
            };
            let side = Side::Variant(*place);
            let line = line(&route.name, route.side_name(side), change);
            host::log(Level::Warn, &line);
            let stats = in_force.stats.sides(*index).get(place.saturating_add(1));
            if let Some(gate) = stats.and_then(|stats| stats.gate.as_ref()) {
                gate.changed(change.state);
            }
            self.keep(policy, kept::bundle(&route.name));
        }
    }

    /// Gives the orders, if others or none that can be read stand there.
    pub fn order(&self, in_force: &InForce, policy: &Policy, now: Millis) {
        let routes = policy.assigner.routes.iter().zip(&self.routes);
        let orders: Vec<Order<'_>> = routes
            .flat_map(|(route, gates)| orders_of(route, gates, now))
            .collect();
        if let Some(bytes) = orders::write(&orders)
            && !in_force.obeyed.heard(&bytes)
        {
            let _ = host::set_shared(&orders::key(&policy.name), &bytes);
        }
    }

    /// Keeps the gates of one bundle for a successor.
    pub fn keep(&self, policy: &Policy, bundle: usize) {
        let inside = inside(&policy.assigner, bundle);
        let bytes = inside.filter_map(|(index, route)| {
            let gates = self.routes.get(index)?;
            Some((route.name.as_str(), gates.to_bytes()?))
        });
        let bytes = kept::write(bytes);
        let _ = host::set_shared(&gates::key(&policy.name, bundle), &bytes);
    }

    /// The gates of the route at `index`.
    pub fn of(&self, index: usize) -> Option<&Gates> {
        self.routes.get(index)
    }
}

fn inside(assigner: &Assigner, bundle: usize) -> impl Iterator<Item = (usize, &Route)> {
    let routes = assigner.routes.iter().enumerate();
    routes.filter(move |(_, route)| kept::bundle(&route.name) == bundle)
}

fn orders_of<'r>(
    route: &'r Route,
    gates: &'r Gates,
    now: Millis,
) -> impl Iterator<Item = Order<'r>> {
    let variants = route.variants.iter().enumerate();
    variants.filter_map(move |(place, variant)| {
        let gate = gates.gate(place)?;
        let ceiling = match i64::try_from(gates.stopped(place)) {
            Ok(0) => Ppm::ALL,
            Ok(stopped) => Ppm(variant
                .schedule
                .at(Millis(now.0.saturating_sub(stopped)))
                .ppm()),
            Err(_) => Ppm(0),
        };
        Some(Order {
            route: &route.name,
            variant: &variant.name,
            revision: gate.revision(),
            position: gate.position(),
            probing: gate.share(Ppm::ALL),
            ceiling,
        })
    })
}

fn spent(came: Option<&[Counters]>) -> Spent {
    let mut spent = Spent::default();
    for side in came.unwrap_or_default() {
        spent.requests = spent.requests.saturating_add(side.judged());
        spent.errors = spent.errors.saturating_add(side.errors());
    }
    spent
}

fn at(now: Millis) -> At {
    At(u64::try_from(now.0).unwrap_or(0))
}

fn line(route: &str, variant: &str, change: &Change) -> String {
    let signal = change.signal.map_or("", |signal| signal.as_str());
    let comma = if signal.is_empty() { "" } else { ", " };
    let (stable, canary) = (change.evidence.stable, change.evidence.canary);
    format!(
        "serinus: gate of {route}/{variant} is {}: {}{comma}{signal}; stable {} of {}, \
         {variant} {} of {}",
        change.state.as_str(),
        change.reason.as_str(),
        number(stable.k.round()),
        number(stable.n.round()),
        number(canary.k.round()),
        number(canary.n.round()),
    )
}
