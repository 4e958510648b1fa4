//! The decision: which side a request goes to, and why.
//!
//! In this order: the first route whose match holds; its maintenance; in the mesh, what a hop before
//! chose; the route's rules; the key's slot. Whatever is in doubt is stable. A key is only looked for when the
//! share is to decide, so a rule neither costs a draw nor issues a cookie.
//!
//! Last of all the variant's gate is asked, whoever chose it. Who is kept out gets stable, for a
//! reason of its own; its key and an issued cookie stay good for when the gate opens.

use super::carry;
use super::cookie::{Id, IssueCookie};
use super::flags::Told;
use super::gates::{Gates, Passage};
use super::hash;
use super::key::KeySource;
use super::maintenance::Diverted;
use super::ramp::Millis;
use super::route::{Route, Side};
use super::rule::{Forced, Respond, Rule, rule};
use super::share::Slot;
use crate::request::Request;
use std::borrow::Cow;
use std::fmt;

/// Why a request got its variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// There is no policy in force.
    NoPolicy,
    /// No route takes the request.
    NoRoute,
    /// The request has no key.
    NoKey,
    /// A rule decided.
    Rule,
    /// A hop before decided.
    Carried,
    /// The key's slot is in the variant's share.
    Share,
    /// The key's slot is in no variant's share.
    Rest,
    /// The variant's gate is shut.
    GateShut,
    /// The variant's gate lets only a few in, and not this one.
    GateProbing,
    /// The route is under maintenance.
    Maintenance,
}

impl Reason {
    /// All reasons, in the order in which they are documented.
    pub const ALL: [Self; 10] = [
        Self::NoPolicy,
        Self::NoRoute,
        Self::NoKey,
        Self::Rule,
        Self::Carried,
        Self::Share,
        Self::Rest,
        Self::GateShut,
        Self::GateProbing,
        Self::Maintenance,
    ];

    /// The word for it in metrics, logs and explanations.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoPolicy => "no-policy",
            Self::NoRoute => "no-route",
            Self::NoKey => "no-key",
            Self::Rule => "rule",
            Self::Carried => "carried",
            Self::Share => "share",
            Self::Rest => "rest",
            Self::GateShut => "gate-shut",
            Self::GateProbing => "gate-probing",
            Self::Maintenance => "maintenance",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What was decided for one request.
#[derive(Debug)]
pub struct Decision<'p> {
    /// The route; none if no route took the request.
    pub route: Option<&'p Route>,
    /// The side it goes to.
    pub side: Side,
    /// Why.
    pub reason: Reason,
    /// The rule that decided, or would have but for the gate.
    pub rule: Option<&'p Rule>,
    /// The answer that the rule, or the maintenance, gives instead of sending the request on.
    pub respond: Option<&'p Respond>,
    /// The rules that only set headers, and held.
    pub passed: Vec<&'p Rule>,
    /// Where the key came from, if one was drawn with.
    pub key: Option<&'p KeySource>,
    /// Where it fell.
    pub slot: Option<Slot>,
    /// The cookie to give out, and its id.
    pub issued: Option<(&'p IssueCookie, Id)>,
    /// Who drew, as [`hash::caller`] tells callers apart.
    pub caller: Option<u32>,
    /// The flags, of a request that goes on.
    pub flags: Told<'p>,
}

impl<'p> Decision<'p> {
    /// Stable, for want of a policy or a route.
    pub fn stable(reason: Reason) -> Self {
        Self {
            route: None,
            side: Side::Stable,
            reason,
            rule: None,
            respond: None,
            passed: Vec::new(),
            key: None,
            slot: None,
            issued: None,
            caller: None,
            flags: Told::default(),
        }
    }

    fn of(route: &'p Route, side: Side, reason: Reason) -> Self {
        Self {
            route: Some(route),
            side,
            ..Self::stable(reason)
        }
    }

    /// What the gate of the decided variant makes of it; `slot` tells where the caller falls.
    fn gated(mut self, gates: &Gates, slot: impl FnOnce() -> Option<Slot>) -> Self {
        let (Some(route), Side::Variant(variant)) = (self.route, self.side) else {
            return self;
        };
        let is_first =
            |share| slot().is_some_and(|slot| route.shares.is_first(slot, variant, share));
        let kept_out = match gates.of(route.id, variant).passage {
            Passage::Open => return self,
            Passage::Probing(share) if is_first(share) => return self,
            Passage::Probing(_) => Reason::GateProbing,
            Passage::Shut => Reason::GateShut,
        };
        (self.side, self.reason) = (Side::Stable, kept_out);
        self
    }
}

/// What a decision needs beside the request.
pub struct Circumstances<'c> {
    /// The time, for ramps.
    pub now: Millis,
    /// How the gates stand.
    pub gates: &'c Gates,
    /// Whether earlier hops are believed.
    pub mesh: bool,
    /// 128 random bits, for an issued cookie; none if the host has none to give.
    pub random: &'c mut dyn FnMut() -> Option<[u8; 16]>,
}

/// Decides for `request`, which `route` takes.
pub fn decide<'p>(
    route: Option<&'p Route>,
    request: &Request<'_>,
    circumstances: &mut Circumstances<'_>,
) -> Decision<'p> {
    match route {
        Some(route) => decide_in(route, request, circumstances),
        None => Decision::stable(Reason::NoRoute),
    }
}

fn decide_in<'p>(
    route: &'p Route,
    request: &Request<'_>,
    circumstances: &mut Circumstances<'_>,
) -> Decision<'p> {
    let gates = circumstances.gates;
    let slot = || route.slot_of(request);
    let maintenance = route.maintenance.as_ref();
    if let Some(diverted) = maintenance.and_then(|maintenance| maintenance.diverts(request)) {
        return by_maintenance(route, diverted).gated(gates, slot);
    }
    if circumstances.mesh
        && let Some(side) = carried(route, request)
    {
        return Decision::of(route, side, Reason::Carried).gated(gates, slot);
    }
    if route.rules.is_empty() {
        return by_share(route, request, circumstances);
    }
    by_rules(route, request, circumstances)
}

#[inline(never)]
fn by_rules<'p>(
    route: &'p Route,
    request: &Request<'_>,
    circumstances: &mut Circumstances<'_>,
) -> Decision<'p> {
    let gates = circumstances.gates;
    let slot = || route.slot_of(request);
    let ruling = rule(&route.rules, request);
    let mut decision = match ruling.decided {
        Some((rule, forced)) if rule.even_shut => by_rule(route, rule, forced),
        Some((rule, forced)) => by_rule(route, rule, forced).gated(gates, slot),
        None => by_share(route, request, circumstances),
    };
    decision.passed = ruling.passed;
    decision
}

/// What a hop before chose for this route, or for the one it follows. A variant that the route
/// does not know is no choice.
#[inline(never)]
fn carried(route: &Route, request: &Request<'_>) -> Option<Side> {
    let names = [Some(&route.name), route.follow.as_ref()];
    let variant = names
        .into_iter()
        .flatten()
        .find_map(|name| carry::carried(request, name))?;
    route.side(&variant)
}

#[inline(never)]
fn by_maintenance<'p>(route: &'p Route, diverted: Diverted<'p>) -> Decision<'p> {
    let (side, respond) = match diverted {
        Diverted::Away(answer) => (Side::Stable, Some(answer)),
        Diverted::To(side) => (side, None),
    };
    Decision {
        respond,
        ..Decision::of(route, side, Reason::Maintenance)
    }
}

fn by_rule<'p>(route: &'p Route, rule: &'p Rule, forced: &'p Forced) -> Decision<'p> {
    let (side, respond) = match forced {
        Forced::Side(side) => (*side, None),
        Forced::Respond(respond) => (Side::Stable, Some(respond)),
    };
    Decision {
        rule: Some(rule),
        respond,
        ..Decision::of(route, side, Reason::Rule)
    }
}

fn by_share<'p>(
    route: &'p Route,
    request: &Request<'_>,
    circumstances: &mut Circumstances<'_>,
) -> Decision<'p> {
    let Some((source, value, issued)) = find_key(route, request, circumstances) else {
        return Decision::of(route, Side::Stable, Reason::NoKey);
    };
    let slot = route.scheme.slot(&value);
    let gates = circumstances.gates;
    let side = route.owner(slot, circumstances.now, gates);
    let reason = match side {
        Side::Stable => Reason::Rest,
        Side::Variant(_) => Reason::Share,
    };
    Decision {
        key: Some(source),
        slot: Some(slot),
        issued,
        caller: Some(hash::caller(&value)),
        ..Decision::of(route, side, reason).gated(gates, || Some(slot))
    }
}

type Key<'p, 'r> = (&'p KeySource, Cow<'r, [u8]>, Option<(&'p IssueCookie, Id)>);

fn find_key<'p, 'r>(
    route: &'p Route,
    request: &Request<'r>,
    circumstances: &mut Circumstances<'_>,
) -> Option<Key<'p, 'r>> {
    for source in &route.keys {
        if let Some(value) = source.value(request) {
            return Some((source, value, None));
        }
    }
    issue_key(route, circumstances)
}

#[inline(never)]
fn issue_key<'p, 'r>(
    route: &'p Route,
    circumstances: &mut Circumstances<'_>,
) -> Option<Key<'p, 'r>> {
    let (source, cookie) = route.keys.iter().find_map(|source| match source {
        KeySource::IssueCookie(cookie) => Some((source, cookie)),
        _ => None,
    })?;
    let id = Id::of((circumstances.random)()?);
    let value = Cow::Owned(id.as_bytes().to_vec());
    Some((source, value, Some((cookie, id))))
}
