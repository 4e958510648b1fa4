//! Metric names, and which of them a policy has.
//!
//! Labels come first in Istio's form, `route=.=checkout;.;variant=.=canary;.;serinus_…`: Istio's
//! `extraStatTags` and a `stats_tags` regex in raw Envoy both make labels of it. Every series that a
//! policy can count into is there from the start, so that a query never meets an absent one.

use crate::assign::decide::Reason;
use crate::assign::route::{Route, Side};
use crate::assign::{Assigner, Trust};

/// 1 while the newest policy given is refused, else 0.
pub const POLICY_REJECTED: &str = "serinus_policy_rejected";
/// Host calls that failed: what they were to do was left undone.
pub const HOST_ERRORS: &str = "serinus_host_errors_total";
/// Decisions by route, variant and reason.
const DECISIONS: &str = "serinus_decisions_total";

/// The route's name for requests that no route took; no route can have it.
pub const NO_ROUTE: &str = "(none)";

/// Decisions that are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecisionSeries {
    /// The side.
    pub side: Side,
    /// The reason.
    pub reason: Reason,
}

/// The series of `route`'s decisions.
pub fn decisions_of(route: &Route, trust: Trust) -> Vec<DecisionSeries> {
    let variants = (0..route.variants.len()).map(Side::Variant);
    let sides = std::iter::once(Side::Stable).chain(variants);
    let mut series = Vec::new();
    for side in sides {
        let by_key: &[Reason] = match side {
            Side::Stable => &[Reason::NoKey, Reason::Rest],
            Side::Variant(_) => &[Reason::Share],
        };
        let carried = (trust == Trust::Mesh).then_some(Reason::Carried);
        let reasons = by_key.iter().copied().chain([Reason::Rule]).chain(carried);
        series.extend(reasons.map(|reason| DecisionSeries { side, reason }));
    }
    series
}

/// The metric that counts `series` of `route`.
pub fn decisions_name(route: &Route, series: DecisionSeries) -> String {
    let variant = route.side_name(series.side);
    labelled(DECISIONS, &route.name, variant, series.reason)
}

/// The metric that counts decisions without a route.
pub fn unrouted_name(reason: Reason) -> String {
    labelled(DECISIONS, NO_ROUTE, "stable", reason)
}

fn labelled(name: &str, route: &str, variant: &str, reason: Reason) -> String {
    format!("route=.={route};.;variant=.={variant};.;reason=.={reason};.;{name}")
}

/// Series of all routes of `assigner`: how many metrics a policy makes.
pub fn count(assigner: &Assigner) -> usize {
    let routes = assigner.routes.iter();
    routes
        .map(|route| decisions_of(route, assigner.trust).len())
        .sum()
}
