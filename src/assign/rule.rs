//! Rules: header-based routing.

use super::condition::{Condition, all_hold};
use super::route::Side;
use crate::request::Request;

/// A rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// All must hold.
    pub when: Vec<Condition>,
    /// What it decides, if anything.
    pub decides: Option<Forced>,
    /// Whether the variant that it decides on is reached though its gate is shut.
    pub even_shut: bool,
    /// Headers set on the request.
    pub set_headers: Vec<(String, String)>,
}

/// What a rule decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forced {
    /// This side.
    Side(Side),
    /// This answer.
    Respond(Respond),
}

/// An answer from the proxy itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respond {
    /// The status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
    /// Its status to a gRPC call; without one the proxy makes it of [`Self::status`].
    pub grpc_status: Option<u8>,
}

/// What a list of rules comes to for one request.
#[derive(Debug, Default)]
pub struct Ruling<'p> {
    /// The rule that decided, and what.
    pub decided: Option<(&'p Rule, &'p Forced)>,
    /// The rules before it that held and set headers.
    pub passed: Vec<&'p Rule>,
}

/// Asks `rules` in order until one decides.
pub fn rule<'p>(rules: &'p [Rule], request: &Request<'_>) -> Ruling<'p> {
    let mut ruling = Ruling::default();
    for rule in rules {
        if !all_hold(&rule.when, request) {
            continue;
        }
        match &rule.decides {
            Some(forced) => {
                ruling.decided = Some((rule, forced));
                break;
            }
            None => ruling.passed.push(rule),
        }
    }
    ruling
}
