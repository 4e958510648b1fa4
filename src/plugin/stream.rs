//! One request.

use super::copied::Copied;
use super::ended::{Cut, Watched};
use super::host::{self, Action, Map};
use super::pages;
use super::rescues::{self, Rescue};
use super::root::InForce;
use crate::assign::carry::{ROUTE_HEADER, VARIANT_HEADER};
use crate::assign::condition::all_hold;
use crate::assign::decide::{Decision, Reason};
use crate::assign::edits::{Edits, strip};
use crate::assign::gates::Gates as Passages;
use crate::assign::ramp::Millis;
use crate::assign::route::Side;
use crate::assign::rule::Respond;
use crate::assign::{Mode, Trust};
use crate::health::callers::Caller;
use crate::health::clock::Wall;
use crate::health::outcome::Asked;
use crate::policy::Policy;
use crate::report::explain;
use crate::request::{Request, address, is_grpc};
use std::rc::Rc;

/// The filter state by which access logs, and a second filter, learn of the decision.
const DECIDED: &str = "serinus";
/// The same of a filter that only observes: it must not keep another from deciding.
const OBSERVED: &str = "serinus-observed";
/// What the mark says where access logs are told nothing.
const UNTOLD: &str = "-";
/// The property that holds the caller's address.
pub const SOURCE: &str = "source\0address";

/// Header lines to add to the answer.
pub type Answer = Vec<(&'static str, Vec<u8>)>;

/// Where a request is.
#[derive(Debug)]
enum State {
    /// There is nothing to do: it was not decided yet, or is nobody's.
    Idle,
    /// It was decided, and its end is waited for; the answer is to get these lines.
    Running(Box<Watched>, Answer),
    /// It has no route, but the answer is to get these lines.
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

    /// The request has come; `ends` says that it has no body.
    pub fn request_headers(&mut self, ends: bool) -> Action {
        // Taken out for the time of the call: a second owner would have to be counted in and out.
        let Some(in_force) = self.in_force.take() else {
            return Action::Continue;
        };
        let action = self.begin(&in_force, ends);
        self.in_force = Some(in_force);
        self.request_part(ends);
        action
    }

    fn begin(&mut self, in_force: &InForce, ends: bool) -> Action {
        let pairs = host::headers(Map::Request);
        let Some(lines) = pairs.as_ref().ok().and_then(host::Pairs::lines) else {
            in_force.stats.host_error();
            return Action::Continue;
        };
        let source = || address(&property(in_force, SOURCE)?);
        let request = Request::new(&lines, &source);
        if let Some(policy) = &in_force.policy
            && let Some(page) = &policy.page
            && pages::serve(in_force, policy, page, &request)
        {
            return Action::Pause;
        }
        if property(in_force, DECIDED).is_some() {
            return Action::Continue;
        }
        self.decide(in_force, &request, ends)
    }

    /// More of the request's body has come, of `size` bytes; `ends` says that it was the last.
    pub fn request_body(&mut self, size: usize, ends: bool) -> Action {
        if let Some((in_force, copied)) = self.copied() {
            copied.request_chunk(in_force, size);
        }
        self.request_part(ends);
        self.cut()
    }

    /// A part of the request has come; `ends` says that it was the last.
    fn request_part(&mut self, ends: bool) {
        if let Some((in_force, copied)) = self.copied()
            && (ends || copied.is_whole())
        {
            copied.request_ended(in_force);
        }
    }

    /// The request has come to its end.
    pub fn request_trailers(&mut self) {
        if let Some((in_force, copied)) = self.copied() {
            copied.request_ended(in_force);
        }
    }

    /// The copy of the request, if it has one.
    fn copied(&mut self) -> Option<(&InForce, &mut Copied)> {
        let in_force = self.in_force.as_deref()?;
        match &mut self.state {
            State::Running(watched, _) => Some((in_force, watched.copied.as_mut()?)),
            State::Idle | State::Answering(_) => None,
        }
    }

    /// The answer begins; `ends` says that it has no body. Gives the token of the call to stable that
    /// it is to wait for, if there is one.
    pub fn response_headers(&mut self, ends: bool) -> Option<u32> {
        if let Some((in_force, copied)) = self.copied() {
            copied.response_headers(in_force);
        }
        let answer = match &mut self.state {
            State::Idle => return None,
            State::Running(watched, answer) => {
                watched.whole |= ends;
                if let Some(in_force) = &self.in_force
                    && let Some(token) = watched.rescue(in_force)
                {
                    return Some(token);
                }
                std::mem::take(answer)
            }
            State::Answering(answer) => std::mem::take(answer),
        };
        if let Some(in_force) = &self.in_force
            && !answer.is_empty()
        {
            add(in_force, answer);
        }
        None
    }

    /// Stable has answered the call that this stream, whose number is `id`, waits for; the host has
    /// its answer, with a body of `size` bytes.
    pub fn rescued(&mut self, id: u32, size: usize) {
        if let State::Running(watched, answer) = &mut self.state
            && let Some(in_force) = &self.in_force
            && note(in_force, host::take_up(id)).is_some()
        {
            watched.rescued(in_force, std::mem::take(answer), size);
        }
    }

    /// More of the answer has come, of `size` bytes; `ends` says that it was the last.
    pub fn response_body(&mut self, size: usize, ends: bool) -> Action {
        if let Some((in_force, copied)) = self.copied() {
            copied.response_chunk(in_force, size);
        }
        if let State::Running(watched, _) = &mut self.state {
            watched.whole |= ends;
        }
        self.cut()
    }

    /// Ends the stream if its gate has shut meanwhile and the policy wants that.
    fn cut(&mut self) -> Action {
        match (&mut self.state, &self.in_force) {
            (State::Running(watched, _), Some(in_force)) if watched.cut == Cut::May => {
                watched.end_if_shut(in_force)
            }
            _ => Action::Continue,
        }
    }

    /// The answer ends with trailers.
    pub fn response_trailers(&mut self) {
        if let Some((in_force, copied)) = self.copied() {
            copied.response_trailers(in_force);
        }
        if let State::Running(watched, _) = &mut self.state {
            watched.whole = true;
        }
    }

    /// The request has ended.
    pub fn log(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Idle);
        if let (State::Running(watched, _), Some(in_force)) = (state, &self.in_force)
            && let Some(policy) = &in_force.policy
        {
            watched.end(in_force, policy);
        }
    }

    fn decide(&mut self, in_force: &InForce, request: &Request<'_>, ends: bool) -> Action {
        let Some(policy) = &in_force.policy else {
            pass_without_policy(in_force, request);
            return Action::Continue;
        };
        let assigner = &policy.assigner;
        let mut edits = strip(request, assigner.trust);
        if assigner.mode == Mode::Bypass {
            let _ = apply(in_force, &edits);
            return Action::Continue;
        }
        let now = note(in_force, host::now());
        let mut random = || note(in_force, host::random());
        let passages = in_force.obeyed.passages();
        let mut decision = assigner.decide(request, millis(now), &passages, &mut random);
        edits.enforce(assigner, request, &decision);
        let chance = rescues::chance(policy, request, &decision, ends);
        if let Some(chance) = chance {
            rescues::set_deadline(chance, request, &mut edits);
        }
        if apply(in_force, &edits).is_none() {
            take_back(in_force);
            return Action::Continue;
        }
        in_force.counting.decided(&decision, millis(now), &passages);
        if !decision.flags.given.is_empty() {
            in_force.stats.flags.count(&decision.flags);
        }
        let experiments = &in_force.stats.experiments;
        let exposed = experiments.decided(policy, request, &decision, millis(now));
        let field = tell(in_force, policy, &decision);
        let answer = match (&decision.issued, &policy.explain) {
            (None, None) => Answer::new(),
            _ => answer(in_force, policy, request, &decision, millis(now)),
        };
        let copied = copied(in_force, policy, request, &decision, millis(now));
        let respond = decision.respond;
        let watched = policy
            .outcomes
            .then(|| watched(in_force, request, &decision, now))
            .flatten();
        self.state = match watched {
            Some(watched) => {
                let ready = |(_, chance)| Rescue::ready(chance, assigner, request, &mut decision);
                let rescue = chance.map(ready).map(Box::new);
                let watched = Watched {
                    field,
                    copied,
                    rescue,
                    exposed,
                    ..watched
                };
                State::Running(Box::new(watched), answer)
            }
            None => State::Answering(answer),
        };
        match respond {
            Some(respond) if assigner.mode == Mode::Enforce => self.reply(in_force, respond),
            _ => Action::Continue,
        }
    }

    /// Answers from the proxy; if the host can't, the request goes on as stable.
    #[inline(never)]
    fn reply(&mut self, in_force: &InForce, respond: &Respond) -> Action {
        match host::respond(
            respond.status,
            &host::texts(&respond.headers),
            respond.body.as_bytes(),
            respond.grpc_status,
        ) {
            Ok(()) => {
                if let State::Running(watched, _) = &mut self.state {
                    watched.own_reply = true;
                }
                Action::Pause
            }
            failed => {
                note(in_force, failed);
                Action::Continue
            }
        }
    }
}

#[inline(never)]
fn pass_without_policy(in_force: &InForce, request: &Request<'_>) {
    let _ = apply(in_force, &strip(request, Trust::Edge));
    let decision = Decision::stable(Reason::NoPolicy);
    let gates = &Passages::OPEN;
    in_force.counting.decided(&decision, Millis(0), gates);
}

/// The time for what is decided by it. Before every ramp if the host has none to tell: what is in
/// doubt is stable.
fn millis(now: Option<Wall>) -> Millis {
    now.map_or(Millis(i64::MIN), Wall::millis)
}

/// What is to be kept of a request that a route took.
fn watched(
    in_force: &InForce,
    request: &Request<'_>,
    decision: &Decision<'_>,
    now: Option<Wall>,
) -> Option<Watched> {
    let route = decision.route?;
    let of_a_key = match (decision.side, decision.issued.is_some()) {
        // A key that came into being with the request says nothing of who sent it.
        (_, true) => None,
        (Side::Variant(_), false) => decision.caller.or_else(|| route.caller_of(request)),
        (Side::Stable, false) => decision.caller,
    };
    let content_type = request.header("content-type").next();
    let has_upgrade = request.header("upgrade").next().is_some();
    // Who is sent past the gate is no concern of it.
    let met_the_gate = || decision.rule.is_none_or(|rule| !rule.even_shut);
    let cut = match decision.side {
        Side::Variant(_) if in_force.cuts(route.id.0) && met_the_gate() => Cut::May,
        _ => Cut::Never,
    };
    Some(Watched {
        route: route.id.0,
        side: decision.side,
        started: now.map(|now| in_force.counting.start(now)),
        caller: of_a_key.map(Caller),
        asked: Asked::of(request.method(), has_upgrade),
        is_grpc: content_type.is_some_and(is_grpc),
        whole: false,
        own_reply: false,
        cut,
        field: None,
        copied: None,
        rescue: None,
        exposed: None,
    })
}

/// Begins the copy of a request that goes to stable, and was drawn. A filter that only observes
/// sends nothing to anybody.
fn copied(
    in_force: &InForce,
    policy: &Policy,
    request: &Request<'_>,
    decision: &Decision<'_>,
    now: Millis,
) -> Option<Copied> {
    let goes_on = policy.assigner.mode == Mode::Enforce && decision.respond.is_none();
    let route = decision
        .route
        .filter(|_| goes_on && decision.side == Side::Stable)?;
    in_force.shadows.begin(policy, route.id.0, request, now)
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
#[inline(never)]
fn take_back(in_force: &InForce) {
    for name in [VARIANT_HEADER, ROUTE_HEADER] {
        note(in_force, host::remove_header(Map::Request, name.as_bytes()));
    }
}

/// Marks the request as decided, for access logs and for a filter behind this one; gives what access
/// logs were told.
fn tell(in_force: &InForce, policy: &Policy, decision: &Decision<'_>) -> Option<String> {
    if policy.assigner.mode == Mode::Observe && !policy.access_log {
        return None;
    }
    let field = policy
        .access_log
        .then(|| explain::log_field(decision, &in_force.obeyed.passages()));
    let mark = field.as_deref().unwrap_or(UNTOLD);
    set_mark(in_force, policy, mark);
    field
}

/// Sets the request's mark to `text`.
pub fn set_mark(in_force: &InForce, policy: &Policy, text: &str) {
    let name = match policy.assigner.mode {
        Mode::Observe => OBSERVED,
        Mode::Enforce | Mode::Bypass => DECIDED,
    };
    note(in_force, host::set_property(name, text.as_bytes()));
}

/// A property; absent if the host fails to say.
pub fn property(in_force: &InForce, path: &str) -> Option<Vec<u8>> {
    note(in_force, host::property(path)).flatten()
}

/// What the answer is to carry: an issued cookie, and the reason for a caller that may ask.
#[inline(never)]
fn answer(
    in_force: &InForce,
    policy: &Policy,
    request: &Request<'_>,
    decision: &Decision<'_>,
    now: Millis,
) -> Answer {
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
        let text = explain::explanation(decision, mode, now, &in_force.obeyed.passages());
        answer.push((explain::REASON_HEADER, text.into_bytes()));
    }
    answer
}

/// Adds lines to the answer.
#[inline(never)]
pub fn add(in_force: &InForce, own: Answer) {
    for (name, value) in own {
        let added = host::add_header(Map::Response, name.as_bytes(), &value);
        note(in_force, added);
    }
}

/// What a host call gave; one that failed is counted.
pub fn note<T>(in_force: &InForce, called: host::Result<T>) -> Option<T> {
    if called.is_err() {
        in_force.stats.host_error();
    }
    called.ok()
}
