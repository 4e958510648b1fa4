//! One request.

use super::host::{self, Map};
use super::root::InForce;
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
        let source = || address(&host::property(SOURCE).ok().flatten()?);
        let request = Request::new(&lines, &source);
        if host::property(DECIDED).ok().flatten().is_some() {
            return Action::Continue;
        }
        self.decide(&in_force, &request)
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if let State::Answering(answer) = std::mem::replace(&mut self.state, State::Idle) {
            for (name, value) in answer {
                let added = host::add_header(Map::Response, name, &value);
                note(self.in_force.as_deref(), added);
            }
        }
        Action::Continue
    }
}

impl Stream {
    fn decide(&mut self, in_force: &InForce, request: &Request<'_>) -> Action {
        let Some(policy) = &in_force.policy else {
            apply(in_force, &strip(request, Trust::Edge));
            in_force.stats.decided(&Decision::stable(Reason::NoPolicy));
            return Action::Continue;
        };
        let assigner = &policy.assigner;
        let mut edits = strip(request, assigner.trust);
        if assigner.mode == Mode::Bypass {
            apply(in_force, &edits);
            return Action::Continue;
        }
        let now = now(in_force);
        let decision = assigner.decide(request, now, &mut host::random);
        in_force.stats.decided(&decision);
        edits.enforce(assigner, request, &decision);
        apply(in_force, &edits);
        if policy.access_log {
            tell(in_force, assigner.mode, &decision);
        }
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
    let now = host::now();
    note(Some(in_force), now.map(|_| ()));
    // Before every ramp: what is in doubt is stable.
    Millis(now.unwrap_or(i64::MIN))
}

fn apply(in_force: &InForce, edits: &Edits<'_>) {
    for name in &edits.remove {
        note(Some(in_force), host::remove_header(Map::Request, name));
    }
    for (name, value) in &edits.set {
        note(Some(in_force), host::set_header(Map::Request, name, value));
    }
}

fn tell(in_force: &InForce, mode: Mode, decision: &Decision<'_>) {
    let name = match mode {
        Mode::Observe => OBSERVED,
        Mode::Enforce | Mode::Bypass => DECIDED,
    };
    let field = explain::log_field(decision);
    note(Some(in_force), host::set_property(name, field.as_bytes()));
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
            note(Some(in_force), failed);
            Action::Continue
        }
    }
}

/// Counts a host call that failed.
fn note(in_force: Option<&InForce>, called: host::Result<()>) {
    if let (Some(in_force), Err(_)) = (in_force, called) {
        in_force.stats.host_error();
    }
}
