//! Who gets which variant, and why.
//!
//! A request is decided by comparing and hashing alone: nothing is remembered about callers, so the
//! same caller gets the same side on every worker and proxy, and a restart forgets nobody.
//!
//! [`decide`](decide::decide) says which side and why; [`edits`] says what that changes on the
//! request. The rest are their parts.

pub mod carry;
pub mod condition;
pub mod cookie;
pub mod decide;
pub mod edits;
pub mod flags;
pub mod gates;
pub mod hash;
pub mod index;
pub mod key;
pub mod maintenance;
pub mod ramp;
pub mod read;
pub mod route;
pub mod rule;
pub mod share;

#[cfg(test)]
pub(crate) mod testing;

use crate::request::Request;
use decide::{Circumstances, Decision};
use flags::Flag;
use gates::Gates;
use index::Index;
use ramp::Millis;
use route::Route;

/// Whether decisions are acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They are.
    Enforce,
    /// They are made and counted, and change nothing.
    Observe,
    /// None is made.
    Bypass,
}

/// Whether what a request says of earlier decisions is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It is not, and goes.
    Edge,
    /// It is.
    Mesh,
}

/// All that assignment needs of a policy.
#[derive(Debug, Clone)]
pub struct Assigner {
    /// Whether decisions are acted on.
    pub mode: Mode,
    /// Whether earlier hops are believed.
    pub trust: Trust,
    /// Whether the decision goes on in `baggage`.
    pub baggage: bool,
    /// The routes, in order.
    pub routes: Vec<Route>,
    /// What finds the one that takes a request.
    pub index: Index,
    /// The flags, in order.
    pub flags: Vec<Flag>,
}

impl Assigner {
    /// Decides for `request`, while the gates stand so.
    pub fn decide(
        &self,
        request: &Request<'_>,
        now: Millis,
        gates: &Gates,
        random: &mut dyn FnMut() -> Option<[u8; 16]>,
    ) -> Decision<'_> {
        let mesh = self.trust == Trust::Mesh;
        let mut circumstances = Circumstances {
            now,
            gates,
            mesh,
            random,
        };
        let route = self.index.first(&self.routes, request);
        let mut decision = decide::decide(route, request, &mut circumstances);
        // What is answered by the proxy meets no flag.
        if decision.respond.is_none() && (self.baggage || !self.flags.is_empty()) {
            let issued = decision.issued.as_ref();
            decision.flags = flags::decide(&self.flags, request, issued, gates, mesh);
        }
        decision
    }
}
