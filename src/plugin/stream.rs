//! One request.

use super::host::{self, Map};
use super::root::InForce;
use crate::assign::carry::{ROUTE_HEADER, VARIANT_HEADER};
use crate::assign::condition::all_hold;
use crate::assign::decide::{Decision, Reason};
use crate::assign::edits::{Edits, strip};
use crate::assign::ramp::Millis;
use crate::assign::rule::Respond;
use crate::assign::{Mode, Trust};
use crate::policy::Policy;
use crate::report::explain;
use crate::request::{Request, address};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use std::rc::Rc;

/// The filter state by which access logs, and a second filter, learn of the decision.
const DECIDED: &str = "serinus";
/// The same of a filter that only observes: it must not keep another from deciding.
const OBSERVED: &str = "serinus-observed";
/// What the mark says where access logs are told nothing.
const UNTOLD: &str = "-";
/// The property that holds the caller's address.
const SOURCE: &str = "source\0address";

/// Header lines to add to the answer.
type Answer = Vec<(&'static str, Vec<u8>)>;

/// Where a request is.
#[derive(Debug)]
enum State {
    /// Nothing was decided yet, or there is nothing left to do.
    Idle,
    /// The answer is to get these lines.
    Answering(Answer),
}

/// One request.
#[derive(Debug)]
pub struct Stream {
    in_force: Option<Rc<InForce>>,
    state: State,
}

impl Stream {
    /// A request under `in_force`.
    pub fn new(in_force: Option<Rc<InForce>>) -> Self {
        Self {
            in_force,
            state: State::Idle,
        }
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let Some(in_force) = self.in_force.clone() else {
            return Action::Continue;
        };
        let pairs = host::headers(Map::Request);
        let Some(lines) = pairs.as_ref().ok().and_then(host::Pairs::lines) else {
            in_force.stats.host_error();
            return Action::Continue;
        };
        let source = || address(&property(&in_force, SOURCE)?);
        let request = Request::new(&lines, &source);
        if property(&in_force, DECIDED).is_some() {
            return Action::Continue;
        }
        self.decide(&in_force, &request)
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if let State::Answering(answer) = std::mem::replace(&mut self.state, State::Idle) {
            for (name, value) in answer {
                if let Some(in_force) = &self.in_force {
                    note(in_force, host::add_header(Map::Response, name, &value));
                }
            }
        }
        Action::Continue
    }
}

impl Stream {
    fn decide(&mut self, in_force: &InForce, request: &Request<'_>) -> Action {
        let Some(policy) = &in_force.policy else {
            let _ = apply(in_force, &strip(request, Trust::Edge));
            in_force.stats.decided(&Decision::stable(Reason::NoPolicy));
            return Action::Continue;
        };
        let assigner = &policy.assigner;
        let mut edits = strip(request, assigner.trust);
        if assigner.mode == Mode::Bypass {
            let _ = apply(in_force, &edits);
            return Action::Continue;
        }
        let now = now(in_force);
        let mut random = || note(in_force, host::random());
        let decision = assigner.decide(request, now, &mut random);
        in_force.stats.decided(&decision);
        edits.enforce(assigner, request, &decision);
        if apply(in_force, &edits).is_none() {
            take_back(in_force);
            return Action::Continue;
        }
        tell(in_force, policy, &decision);
        let answer = answer(policy, request, &decision, now);
        if !answer.is_empty() {
            self.state = State::Answering(answer);
        }
        match decision.respond {
            Some(respond) if assigner.mode == Mode::Enforce => reply(in_force, respond),
            _ => Action::Continue,
        }
    }
}

/// The time, if the policy asks for it.
fn now(in_force: &InForce) -> Millis {
    if !in_force.needs_time {
        return Millis(0);
    }
    // Before every ramp: what is in doubt is stable.
    Millis(note(in_force, host::now()).unwrap_or(i64::MIN))
}

/// Makes the changes, removals first; `None` at the first that fails, with the others not made.
fn apply(in_force: &InForce, edits: &Edits<'_>) -> Option<()> {
    for name in &edits.remove {
        note(in_force, host::remove_header(Map::Request, name))?;
    }
    for (name, value) in &edits.set {
        note(in_force, host::set_header(Map::Request, name, value))?;
    }
    Some(())
}

/// After a change that failed: the request goes on as stable, as far as the host lets it.
fn take_back(in_force: &InForce) {
    for name in [VARIANT_HEADER, ROUTE_HEADER] {
        note(in_force, host::remove_header(Map::Request, name.as_bytes()));
    }
}

/// Marks the request as decided, for access logs and for a filter behind this one.
fn tell(in_force: &InForce, policy: &Policy, decision: &Decision<'_>) {
    let name = match (policy.assigner.mode, policy.access_log) {
        (Mode::Observe, false) => return,
        (Mode::Observe, true) => OBSERVED,
        (Mode::Enforce | Mode::Bypass, _) => DECIDED,
    };
    let field = if policy.access_log {
        explain::log_field(decision)
    } else {
        UNTOLD.to_owned()
    };
    note(in_force, host::set_property(name, field.as_bytes()));
}

/// A property; absent if the host fails to say.
fn property(in_force: &InForce, path: &str) -> Option<Vec<u8>> {
    note(in_force, host::property(path)).flatten()
}

/// What the answer is to carry: an issued cookie, and the reason for a caller that may ask.
fn answer(policy: &Policy, request: &Request<'_>, decision: &Decision<'_>, now: Millis) -> Answer {
    let mode = policy.assigner.mode;
    let mut answer = Vec::new();
    if let Some((cookie, id)) = &decision.issued
        && mode == Mode::Enforce
    {
        answer.push(("set-cookie", cookie.header(id)));
    }
    if let Some(when) = &policy.explain
        && explain::asks(request)
        && all_hold(when, request)
    {
        let text = explain::explanation(decision, mode, now);
        answer.push((explain::REASON_HEADER, text.into_bytes()));
    }
    answer
}

/// Answers from the proxy; if the host can't, the request goes on as stable.
fn reply(in_force: &InForce, respond: &Respond) -> Action {
    match host::respond(respond.status, &respond.headers, respond.body.as_bytes()) {
        Ok(()) => Action::Pause,
        failed => {
            note(in_force, failed);
            Action::Continue
        }
    }
}

/// What a host call gave; one that failed is counted.
fn note<T>(in_force: &InForce, called: host::Result<T>) -> Option<T> {
    if called.is_err() {
        in_force.stats.host_error();
    }
    called.ok()
}
