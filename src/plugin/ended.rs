//! The end of a request: what the host says of it becomes an outcome.
//!
//! An answer that was seen to its end and is no error costs four host calls (two looks at the
//! clock, the status, the tries), and one for each thing that `report` asks for. One that is not
//! costs up to two more, to learn who is to blame; one of gRPC, one more for its status. Where it
//! matters to the gate who sent it, and its key does not tell, the address is asked for: one more.

use super::copied::Copied;
use super::experiments::Exposed;
use super::host::{self, Action};
use super::rescues::{self, Failed, Rescue};
use super::root::InForce;
use super::stream::{Answer, SOURCE, note, property, set_mark};
use crate::assign::gates::Passage;
use crate::assign::route::{RouteId, Side};
use crate::gate::LongLived;
use crate::health::Settings;
use crate::health::callers::Caller;
use crate::health::clock::{Micros, Started};
use crate::health::counters::Request;
use crate::health::flags::Flags;
use crate::health::outcome::{Asked, Ended, Errors, Outcome, wants_details};
use crate::health::statuses::{GrpcStatus, Status};
use crate::policy::Policy;
use crate::request::address;
use crate::rescue::Rescued;
use std::net::IpAddr;
use std::time::Duration;

/// Whether a gate that shuts ends a request that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// It does not.
    Never,
    /// It does, at the request's next bytes.
    May,
    /// It did.
    Done,
}

/// What is kept of a request until it ends.
#[derive(Debug)]
pub struct Watched {
    /// Its route, by place.
    pub route: usize,
    /// The side it was decided for.
    pub side: Side,
    /// When it began.
    pub started: Option<Started>,
    /// Who sent it, if it has a key that did not come into being with it.
    pub caller: Option<Caller>,
    /// Whether it asked for a tunnel.
    pub asked: Asked,
    /// Whether it is gRPC's.
    pub is_grpc: bool,
    /// Whether the answer was seen to its end.
    pub whole: bool,
    /// Whether this filter answered.
    pub own_reply: bool,
    /// Whether its gate ends it by shutting.
    pub cut: Cut,
    /// What access logs are told of the decision.
    pub field: Option<String>,
    /// Its copy, if it was drawn.
    pub copied: Option<Copied>,
    /// Its rescue, if it can have one.
    pub rescue: Option<Box<Rescue>>,
    /// What an experiment is to know of it.
    pub exposed: Option<Exposed>,
}

impl Watched {
    /// Counts the request, and tells access logs what it came to.
    pub fn end(mut self, in_force: &InForce, policy: &Policy) {
        let Some(settings) = policy.health.get(self.route) else {
            return;
        };
        let rescue = self.rescue.take();
        let rescue = rescue.and_then(|rescue| rescue.end(in_force, self.route, self.side));
        let (failed, rescued) = rescue.unzip();
        let outcome = self.count(in_force, policy, settings, failed);
        let copied = self.copied.take();
        let copied = copied.map(|copied| copied.end(in_force, policy, self.whole));
        if let Some(field) = self.field.take() {
            tell(in_force, policy, field, outcome, copied, rescued);
        }
    }

    /// How long it has taken.
    fn took(&self, in_force: &InForce) -> Option<Micros> {
        let now = note(in_force, host::now())?;
        in_force.counting.since(self.started?, now)
    }

    /// The answer begins: gives the token of the call to stable, if that is to answer
    /// instead.
    pub fn rescue(&mut self, in_force: &InForce) -> Option<u32> {
        let rescue = self.rescue.take()?;
        self.answer_begins(in_force, *rescue)
    }

    #[inline(never)]
    fn answer_begins(&mut self, in_force: &InForce, rescue: Rescue) -> Option<u32> {
        let policy = in_force.policy.as_ref()?;
        let settings = policy.rescue(self.route)?;
        let failed = |status| Failed {
            told: Told::at_once(in_force, status),
            took: self.took(in_force),
        };
        let (rescue, token) = rescue.answer_begins(in_force, settings, self.route, failed);
        self.rescue = rescue.map(Box::new);
        token
    }

    /// Stable has answered, with a body of `size` bytes.
    pub fn rescued(&mut self, in_force: &InForce, own: Answer, size: usize) {
        if let Some(Rescue::UnderWay(failed, is_head)) = self.rescue.take().map(|rescue| *rescue)
            && let Some(policy) = &in_force.policy
            && let Some(settings) = policy.rescue(self.route)
        {
            let rescued = rescues::answer(in_force, settings, is_head, own, size);
            self.rescue = Some(Box::new(Rescue::Over(failed, rescued)));
        }
    }

    /// Ends the stream, once, if the gate of its variant is shut by now and it is of the kind that is
    /// not waited for. Until then this costs no host call.
    #[inline(never)]
    pub fn end_if_shut(&mut self, in_force: &InForce) -> Action {
        let Side::Variant(variant) = self.side else {
            return Action::Continue;
        };
        let gate = in_force.obeyed.passages().of(RouteId(self.route), variant);
        if gate.passage != Passage::Shut {
            return Action::Continue;
        }
        let asked = Ended {
            status: number(in_force, "response\0code").map(Status::of),
            asked: self.asked,
            ..Ended::default()
        };
        let lasted = self.started.and_then(|at| in_force.counting.lasted(at));
        let lasted = lasted.map(|lasted| Duration::from_micros(lasted.0));
        if !LongLived::Cut.cuts(asked.is_tunnel(), lasted)
            || note(in_force, host::close_stream()).is_none()
        {
            return Action::Continue;
        }
        self.cut = Cut::Done;
        in_force.stats.was_cut(self.route, variant);
        Action::Pause
    }

    fn count(
        &self,
        in_force: &InForce,
        policy: &Policy,
        settings: &Settings,
        failed: Option<Failed>,
    ) -> Outcome {
        let counting = &in_force.counting;
        let failed = failed.unwrap_or_else(|| Failed {
            took: self.took(in_force),
            told: Told::ask(self, in_force, settings),
        });
        let (told, took) = (failed.told, failed.took);
        let ended = Ended {
            status: told.status,
            flags: told.flags,
            details: told.details.as_deref(),
            is_grpc: self.is_grpc,
            grpc_status: told.grpc_status,
            asked: self.asked,
            duration: took,
            own_reply: self.own_reply,
            was_cut: self.cut == Cut::Done,
        };
        let outcome = ended.outcome(&settings.errors, counting.slow_bound(self.route));
        let reached = !self.own_reply;
        let host = (settings.hosts && reached && outcome.is_judged())
            .then(|| property(in_force, "upstream\0address"))
            .flatten();
        let exposure = self.exposed.and_then(|exposed| {
            let place = (self.route, self.side);
            let experiments = &in_force.stats.experiments;
            experiments.ended(policy, place, exposed, told.status, outcome)
        });
        let request = Request {
            outcome,
            latency: ended.latency(),
            attempts: if reached { attempts(in_force) } else { 0 },
            bytes: settings.bytes.then(|| bytes(in_force)),
            caller: self.caller(in_force, outcome),
            host: host.as_deref(),
            exposure,
        };
        counting.ended(self.route, self.side, &request);
        outcome
    }

    /// Who sent it. Without a key of its own a request counts for its network, so that a flood of
    /// callers without cookies is not as many callers; asked for where it matters to the gate.
    fn caller(&self, in_force: &InForce, outcome: Outcome) -> Option<Caller> {
        let matters = outcome.is_error() || self.side != Side::Stable;
        match self.caller {
            None if matters => by_network(in_force),
            caller => caller,
        }
    }
}

/// What the host tells of the end.
#[derive(Debug, Default)]
pub struct Told {
    /// `response.code`.
    pub status: Option<Status>,
    /// `response.flags`.
    pub flags: Flags,
    /// `response.code_details`, where they matter.
    pub details: Option<Vec<u8>>,
    grpc_status: Option<GrpcStatus>,
}

impl Told {
    /// What is told while an answer with this status begins.
    fn at_once(in_force: &InForce, status: Status) -> Self {
        Self {
            status: Some(status),
            flags: Flags(number(in_force, "response\0flags").unwrap_or(0)),
            details: property(in_force, "response\0code_details"),
            grpc_status: None,
        }
    }

    fn ask(watched: &Watched, in_force: &InForce, settings: &Settings) -> Self {
        if watched.own_reply {
            return Self::default();
        }
        let errors = &settings.errors;
        let mut told = Self {
            status: number(in_force, "response\0code").map(Status::of),
            ..Self::default()
        };
        let fine = watched.whole && !wants_details(told.status, told.flags, errors);
        if !fine {
            told.ask_why(in_force, errors);
        }
        if watched.is_grpc {
            told.ask_grpc(in_force);
        }
        told
    }

    #[inline(never)]
    fn ask_why(&mut self, in_force: &InForce, errors: &Errors) {
        self.flags = Flags(number(in_force, "response\0flags").unwrap_or(0));
        if wants_details(self.status, self.flags, errors) {
            self.details = property(in_force, "response\0code_details");
        }
    }

    #[inline(never)]
    fn ask_grpc(&mut self, in_force: &InForce) {
        let status = number(in_force, "response\0grpc_status");
        let status = status.map(|status| u32::try_from(status).unwrap_or(u32::MAX));
        self.grpc_status = status.map(GrpcStatus);
    }
}

/// How often Envoy tried; 1 where it does not say, 0 where there was nobody to try.
fn attempts(in_force: &InForce) -> u32 {
    let attempts = number(in_force, "upstream\0request_attempt_count");
    attempts.map_or(1, |attempts| u32::try_from(attempts).unwrap_or(u32::MAX))
}

#[inline(never)]
fn bytes(in_force: &InForce) -> (u64, u64) {
    let of = |path| number(in_force, path).unwrap_or(0);
    (of("request\0total_size"), of("response\0total_size"))
}

/// Tells access logs what a request came to.
#[inline(never)]
fn tell(
    in_force: &InForce,
    policy: &Policy,
    mut field: String,
    outcome: Outcome,
    copied: Option<String>,
    rescued: Option<Rescued>,
) {
    let parts = [
        (" outcome=", Some(outcome.as_str())),
        (" shadow=", copied.as_deref()),
        (" rescue=", rescued.map(Rescued::word)),
    ];
    for (name, word) in parts {
        if let Some(word) = word {
            field.push_str(name);
            field.push_str(word);
        }
    }
    set_mark(in_force, policy, &field);
}

/// Who sent a request without a key: its network.
#[inline(never)]
fn by_network(in_force: &InForce) -> Option<Caller> {
    let source = address(&property(in_force, SOURCE)?)?;
    Some(Caller::of(&network(source)))
}

fn number(in_force: &InForce, path: &str) -> Option<u64> {
    note(in_force, host::number_property(path)).flatten()
}

/// The network of an address: /24 of IPv4, /48 of IPv6, which providers give to one customer.
fn network(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().iter().take(3).copied().collect(),
        IpAddr::V6(address) => address.octets().iter().take(6).copied().collect(),
    }
}
