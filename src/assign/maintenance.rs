//! Maintenance: a route whose writes are turned away for a while, and whose reads go elsewhere.
//!
//! It is asked before anything else is decided of a request: before an earlier hop's word, rules and
//! keys. Whoever [passes](Maintenance::unless) is decided on as ever. Reads are the safe methods of
//! RFC 9110, part 9.2.1, that are not turned away; a method that is neither goes on as ever.
//!
//! A gRPC call is a POST whatever it does, so that a route that turns POST away turns all calls
//! away. It is answered in its own words, status UNAVAILABLE (14), for which its clients try again.

use super::condition::Condition;
use super::read::accept;
use super::route::Side;
use super::rule::Respond;
use crate::request::{Request, is_grpc};

/// The safe methods.
const READS: [&[u8]; 4] = [b"GET", b"HEAD", b"OPTIONS", b"TRACE"];

/// The maintenance of a route.
#[derive(Debug, Clone)]
pub struct Maintenance {
    /// Whether it is on.
    pub enabled: bool,
    /// The methods that are turned away.
    pub methods: Vec<String>,
    /// Where reads go; where they go anyway if it is not said.
    pub reads_to: Option<Side>,
    /// Who passes: each of these is enough.
    pub unless: Vec<Condition>,
    /// The answers by media type (in lower case, without parameters); the first for who likes none.
    pub answers: Vec<(String, Respond)>,
    /// The answer to gRPC.
    pub grpc: Respond,
}

/// What becomes of a request that does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Diverted<'p> {
    /// It is answered so.
    Away(&'p Respond),
    /// It goes there.
    To(Side),
}

impl Maintenance {
    /// What becomes of `request`; nothing if it goes on as ever.
    #[inline(never)]
    pub fn diverts(&self, request: &Request<'_>) -> Option<Diverted<'_>> {
        if !self.enabled || self.unless.iter().any(|one| one.holds(request)) {
            return None;
        }
        let method = request.method();
        if self.methods.iter().any(|away| away.as_bytes() == method) {
            return Some(Diverted::Away(self.answer(request)));
        }
        let to = self.reads_to.filter(|_| READS.contains(&method))?;
        Some(Diverted::To(to))
    }

    fn answer(&self, request: &Request<'_>) -> &Respond {
        if request.header("content-type").next().is_some_and(is_grpc) {
            return &self.grpc;
        }
        let offered = self.answers.iter().map(|(media_type, _)| &**media_type);
        let answer = self.answers.get(accept::best(request, offered));
        answer.map_or(&self.grpc, |(_, answer)| answer)
    }
}

#[cfg(test)]
#[path = "maintenance_tests.rs"]
mod tests;
