//! What a decision changes: header lines to remove and to set, on the request and on its answer.

use super::carry::{self, ROUTE_HEADER, VARIANT_HEADER};
use super::decide::{Decision, Reason};
use super::flags::FLAGS_HEADER;
use super::route::{Route, Side, Variant};
use super::{Assigner, Mode, Trust};
use crate::request::Request;
use std::borrow::Cow;

/// Changes to a list of header lines: first all removals, then the settings in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Edits<'a> {
    /// Names whose lines all go.
    pub remove: Vec<&'a [u8]>,
    /// Names, and the one line that each then has.
    pub set: Vec<(&'a str, Cow<'a, [u8]>)>,
}

/// Before anything else: at an edge the filter's own headers and baggage member go, whatever the
/// mode and with or without a policy.
pub fn strip<'a>(request: &Request<'a>, trust: Trust) -> Edits<'a> {
    let mut edits = Edits::default();
    if trust == Trust::Mesh {
        return edits;
    }
    edits.remove = carry::own_headers(request);
    if request.header("baggage").next().is_some() {
        edits.strip_member(request);
    }
    edits
}

/// What would have been changed on `request` had it been stable's: `decision` becomes that.
pub fn as_stable<'a>(
    assigner: &'a Assigner,
    request: &Request<'a>,
    decision: &mut Decision<'a>,
) -> Edits<'a> {
    let mut edits = strip(request, assigner.trust);
    // The rule's headers are for the variant that it chose.
    (decision.side, decision.rule) = (Side::Stable, None);
    edits.enforce(assigner, request, decision);
    edits
}

impl<'a> Edits<'a> {
    /// Adds what `decision` changes, if `assigner` enforces.
    pub fn enforce(
        &mut self,
        assigner: &'a Assigner,
        request: &Request<'a>,
        decision: &Decision<'a>,
    ) {
        if assigner.mode != Mode::Enforce {
            return;
        }
        if let Some(route) = decision.route {
            self.tell(request, route, decision.side);
            if decision.rule.is_some() || !decision.passed.is_empty() {
                self.by_rules(decision);
            }
            if let Some(variant) = route.variant(decision.side) {
                self.for_variant(request, variant);
            }
        }
        if !decision.flags.given.is_empty() {
            let line = decision.flags.header().into_bytes();
            self.replace(FLAGS_HEADER, Cow::Owned(line));
        }
        if assigner.baggage {
            self.carry_on(request, decision, assigner.trust);
        }
    }

    #[inline(never)]
    fn strip_member(&mut self, request: &Request<'_>) {
        match carry::without_member(request) {
            None => {}
            Some(rest) if rest.is_empty() => self.remove.push(b"baggage"),
            Some(rest) => self.replace("baggage", Cow::Owned(rest)),
        }
    }

    /// Headers of a rule whose variant was not reached are for that variant.
    #[inline(never)]
    fn by_rules(&mut self, decision: &Decision<'a>) {
        let rule = decision.rule.filter(|_| decision.reason == Reason::Rule);
        for rule in decision.passed.iter().copied().chain(rule) {
            self.set_all(&rule.set_headers);
        }
    }

    #[inline(never)]
    fn for_variant(&mut self, request: &Request<'a>, variant: &'a Variant) {
        self.set_all(&variant.set_headers);
        let rewrite = variant.rewrite.as_ref();
        if let Some(target) = rewrite.and_then(|rewrite| rewrite.apply(request.target())) {
            self.set.push((":path", Cow::Owned(target)));
        }
    }

    #[inline(never)]
    fn carry_on(&mut self, request: &Request<'_>, decision: &Decision<'_>, trust: Trust) {
        let flags = &decision.flags;
        if decision.route.is_none() && flags.given.is_empty() {
            return;
        }
        let of_route = decision
            .route
            .map(|route| (route.name.as_str(), route.side_name(decision.side)));
        let line = carry::with_member(request, of_route, flags.all(), trust == Trust::Mesh);
        self.replace("baggage", Cow::Owned(line));
    }

    /// Tells the mesh the side. Stable is told by silence: a request that stays there goes on as it
    /// came, and Envoy need not select its route again.
    fn tell(&mut self, request: &Request<'a>, route: &'a Route, side: Side) {
        let variant = route.side_name(side);
        for (name, value) in [(VARIANT_HEADER, variant), (ROUTE_HEADER, &route.name)] {
            match side {
                Side::Variant(_) => self.replace(name, Cow::Borrowed(value.as_bytes())),
                Side::Stable => self.remove_all(request, name),
            }
        }
    }

    fn set_all(&mut self, headers: &'a [(String, String)]) {
        for (name, value) in headers {
            self.replace(name, Cow::Borrowed(value.as_bytes()));
        }
    }

    /// Sets `name`; a later setting of the same name wins.
    fn replace(&mut self, name: &'a str, value: Cow<'a, [u8]>) {
        self.set.retain(|(set, _)| *set != name);
        self.set.push((name, value));
    }

    fn remove_all(&mut self, request: &Request<'a>, name: &'a str) {
        if request.header(name).next().is_some() && !self.remove.contains(&name.as_bytes()) {
            self.remove.push(name.as_bytes());
        }
    }
}
