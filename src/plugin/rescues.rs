//! Rescues: the answers of variants that failed wait here for those of stable.
//!
//! A call belongs to the root context, like all calls, and its answer comes there; which request
//! waits for it is known by the call's token ([`exports`](super::exports)). Where the request has
//! gone, nobody waits, and the answer is dropped.
//!
//! What waits is the beginning of the variant's answer: the host goes on to the next filter only when
//! it is told to, and holds back the rest. It is answered anew, and the host then drops what the
//! variant said; but an answer to HEAD is changed and let go, for only so does it keep the length of
//! the body that nobody sends. An answer that is given anew does not pass the filters behind.

use super::ended::Told;
use super::host::{self, Buffer, Map};
use super::root::InForce;
use super::series::Id;
use super::shadows::moment;
use super::stats::Pending;
use super::stream::{Answer, add, note};
use crate::assign::decide::{Decision, Reason};
use crate::assign::edits::{self, Edits};
use crate::assign::route::Side;
use crate::assign::{Assigner, Mode};
use crate::bucket::{Bucket, Moment};
use crate::health::clock::Micros;
use crate::health::outcome::Ended;
use crate::health::statuses::Status;
use crate::policy::Policy;
use crate::report::explain::REASON_HEADER;
use crate::report::metric::RESCUES;
use crate::request::Request;
use crate::rescue::{Chance, DEADLINE_HEADER, Rescued, Settings, shape};
use std::cell::RefCell;

/// The rescues of one worker under one policy.
#[derive(Debug)]
pub struct Rescues(Vec<Option<OfRoute>>);

#[derive(Debug)]
struct OfRoute {
    rate: RefCell<Bucket>,
    /// Of each variant, in the order of [`Rescued::ALL`].
    counts: Vec<Vec<Pending>>,
}

impl Rescues {
    /// Those of the routes of `policy`; each worker may use a second's worth at once.
    pub fn new(policy: Option<&Policy>, now: Moment) -> Self {
        let mut all = Vec::new();
        for (route, rescue) in policy.into_iter().flat_map(|policy| {
            let routes = &policy.assigner.routes;
            routes.iter().zip(&policy.rescues)
        }) {
            all.push(rescue.as_ref().map(|rescue| {
                let mut counts = Vec::with_capacity(route.variants.len());
                for variant in &route.variants {
                    let mut series = Vec::with_capacity(Rescued::ALL.len());
                    for of in Rescued::ALL {
                        let name = RESCUES.with(&[&route.name, &variant.name, of.word()]);
                        series.push(Pending::new(Id::define(&RESCUES, &name)));
                    }
                    counts.push(series);
                }
                OfRoute {
                    rate: RefCell::new(Bucket::new(rescue.per_second, now)),
                    counts,
                }
            }));
        }
        Self(all)
    }

    /// Whether one more call may be made.
    fn may_call(&self, route: usize) -> bool {
        let of = self.0.get(route).and_then(Option::as_ref);
        let rate = of.and_then(|of| of.rate.try_borrow_mut().ok());
        rate.is_some_and(|mut rate| rate.take(moment()))
    }

    fn count(&self, route: usize, side: Side, rescued: Rescued) {
        let (Some(Some(of)), Side::Variant(variant)) = (self.0.get(route), side) else {
            return;
        };
        let place = Rescued::ALL.iter().position(|known| *known == rescued);
        let counts = of.counts.get(variant).zip(place);
        if let Some(count) = counts.and_then(|(counts, place)| counts.get(place)) {
            count.count(1);
        }
    }

    /// Tells what was counted.
    pub fn tell(&self) {
        for of in self.0.iter().flatten() {
            of.counts.iter().flatten().for_each(Pending::tell);
        }
    }
}

/// The rescue that a request may need, and whether it can have one. There is nobody to rescue where
/// nothing is enforced, or stable answers; nor in maintenance, where a variant stands in for stable.
pub fn chance<'p>(
    policy: &'p Policy,
    request: &Request<'_>,
    decision: &Decision<'_>,
    ends: bool,
) -> Option<(&'p Settings, Chance)> {
    let route = decision.route.filter(|_| decision.side != Side::Stable)?;
    let settings = policy.rescue(route.id.0)?;
    let chance = chance_by(settings, policy, request, decision, ends)?;
    Some((settings, chance))
}

#[inline(never)]
fn chance_by(
    settings: &Settings,
    policy: &Policy,
    request: &Request<'_>,
    decision: &Decision<'_>,
    ends: bool,
) -> Option<Chance> {
    let acts = policy.assigner.mode == Mode::Enforce && decision.reason != Reason::Maintenance;
    settings.chance(request, ends).filter(|_| acts)
}

/// Gives a request that can be rescued its deadline.
#[inline(never)]
pub fn set_deadline<'p>(
    (settings, chance): (&'p Settings, Chance),
    request: &Request<'_>,
    edits: &mut Edits<'p>,
) {
    if chance == Chance::Open
        && let Some(deadline) = settings.deadline(request)
    {
        edits
            .set
            .push((DEADLINE_HEADER, deadline.as_bytes().into()));
    }
}

/// Where the rescue of one request is.
#[derive(Debug)]
pub enum Rescue {
    /// There was no need yet: what stable is to be asked, and whether by HEAD.
    Ready(Vec<u8>, bool),
    /// The same, but the request has a body.
    HasBody,
    /// Stable is asked, because of this.
    UnderWay(Failed, bool),
    /// It came to this.
    Over(Failed, Rescued),
}

/// What was known of an answer when it failed: what comes later may be stable's.
#[derive(Debug)]
pub struct Failed {
    /// What the host told.
    pub told: Told,
    /// How long the answer took, if that can be told.
    pub took: Option<Micros>,
}

impl Rescue {
    /// What is to be kept of a request with this chance; `decision` is made stable's for it.
    #[inline(never)]
    pub fn ready<'a>(
        chance: Chance,
        assigner: &'a Assigner,
        request: &Request<'a>,
        decision: &mut Decision<'a>,
    ) -> Self {
        if chance == Chance::HasBody {
            return Self::HasBody;
        }
        let edits = edits::as_stable(assigner, request, decision);
        let call = host::laid_out(&shape::call(request, &edits));
        Self::Ready(call, request.method() == b"HEAD")
    }

    /// The answer begins; `told` says of one with this status what else there is to know. Gives the token of the call to
    /// stable if one was made: the answer is then to wait.
    pub fn answer_begins(
        self,
        in_force: &InForce,
        settings: &Settings,
        route: usize,
        told: impl FnOnce(Status) -> Failed,
    ) -> (Option<Self>, Option<u32>) {
        let began = note(in_force, host::headers(Map::Response)).unwrap_or_default();
        let lines = began.lines().unwrap_or_default();
        let status = lines.iter().find(|(name, _)| *name == b":status");
        let status = status.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok());
        let status = status.map(Status::of);
        let Some(status) = status.filter(|status| settings.failures.may_have(*status)) else {
            return (None, None);
        };
        let failed = told(status);
        let ended = Ended {
            status: failed.told.status,
            flags: failed.told.flags,
            details: failed.told.details.as_deref(),
            ..Ended::default()
        };
        if !settings.failures.has(&ended) {
            return (None, None);
        }
        let (call, is_head) = match self {
            Self::Ready(call, is_head) => (call, is_head),
            _ => return (Some(Self::Over(failed, Rescued::Body)), None),
        };
        if !in_force.rescues.may_call(route) {
            return (Some(Self::Over(failed, Rescued::Limited)), None);
        }
        match host::call(&settings.cluster, &call, &[], settings.timeout) {
            Ok(token) => (Some(Self::UnderWay(failed, is_head)), Some(token)),
            Err(_) => (Some(Self::Over(failed, Rescued::NotSent)), None),
        }
    }

    /// The request is over: what was known of its failure, and the access log's word.
    #[inline(never)]
    pub fn end(self, in_force: &InForce, route: usize, side: Side) -> Option<(Failed, Rescued)> {
        let (failed, rescued) = match self {
            Self::Ready(..) | Self::HasBody => return None,
            Self::UnderWay(failed, _) => (failed, Rescued::Left),
            Self::Over(failed, rescued) => (failed, rescued),
        };
        in_force.rescues.count(route, side, rescued);
        Some((failed, rescued))
    }
}

/// Stable's answer has come, with a body of `size` bytes, for the request whose turn it is with the
/// host: the caller gets it, with the lines of `own`, or else what the variant said.
pub fn answer(
    in_force: &InForce,
    settings: &Settings,
    is_head: bool,
    mut own: Answer,
    size: usize,
) -> Rescued {
    let pairs = note(in_force, host::headers(Map::Call)).unwrap_or_default();
    let lines = pairs.lines().unwrap_or_default();
    let body = match size {
        0 => Some(Vec::new()),
        size => note(in_force, host::bytes(Buffer::Call, size)),
    };
    let body = body.filter(|body| body.len() == size);
    let answered = settings.answer(&lines, is_head).zip(body);
    if answered.is_some() {
        explain(&mut own);
    }
    let given = match answered {
        Some((answer, _)) if is_head => change(in_force, &answer),
        Some((answer, body)) => match give(in_force, answer, &own, &body) {
            Some(()) => return Rescued::Answered,
            None => None,
        },
        None => None,
    };
    add(in_force, own);
    note(in_force, host::go_on());
    given.map_or(Rescued::Failed, |()| Rescued::Answered)
}

/// Says in the explanation, where there is one, who answered.
fn explain(own: &mut Answer) {
    for (name, value) in own {
        if *name == REASON_HEADER {
            value.extend_from_slice(b"; rescue=answered");
        }
    }
}

/// Answers anew.
fn give<'a>(
    in_force: &InForce,
    answer: shape::Answer<'a>,
    own: &'a Answer,
    body: &[u8],
) -> Option<()> {
    let mut lines = answer.lines;
    for (name, value) in own {
        lines.push((name.as_bytes(), value));
    }
    note(in_force, host::respond(answer.status, &lines, body, None))
}

/// Puts these header lines in place of those of the answer that waits.
fn change(in_force: &InForce, answer: &shape::Answer<'_>) -> Option<()> {
    let pairs = note(in_force, host::headers(Map::Response))?;
    for (name, _) in pairs.lines()? {
        if name != b":status" {
            note(in_force, host::remove_header(Map::Response, name))?;
        }
    }
    let status = answer.status.to_string();
    note(
        in_force,
        host::set_header(Map::Response, ":status", status.as_bytes()),
    )?;
    for (name, value) in &answer.lines {
        note(in_force, host::add_header(Map::Response, name, value))?;
    }
    Some(())
}
