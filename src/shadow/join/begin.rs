//! From a request to its call.

use super::exchange::{Call, Exchange, Id, Leg, Plan, Primary, Stage};
use super::{PER_CALL, Table};
use crate::request::Request;
use crate::shadow::budget::{Leave, Moment};
use crate::shadow::sample::{Skipped, chance};
use crate::shadow::settings::{Settings, is_safe};
use crate::shadow::shape::{Target, shaped};
use crate::shadow::verdict::Pair;

/// The random bits of one exchange.
#[derive(Debug, Clone, Copy)]
pub struct Draws {
    /// For the coin.
    pub coin: u64,
    /// The span of the first call.
    pub span: u64,
    /// The span of the confirming call.
    pub again: u64,
}

impl Table {
    /// Begins the exchange of a request that was sampled.
    ///
    /// # Errors
    /// Why it is not copied after all.
    pub fn begin(
        &mut self,
        settings: &Settings,
        request: &Request<'_>,
        draws: Draws,
        now: Moment,
    ) -> Result<Id, Skipped> {
        let plan = self.plan(settings, request.method(), draws.coin, now)?;
        let shape = |leg, span| shaped(request, &target(settings, leg), span);
        let headers = shape(plan.leg(), draws.span)?;
        let again = match plan.confirmable {
            true => Some((shape(Leg::Stable, draws.again)?, Vec::new())),
            false => None,
        };
        let most = settings.limits.in_flight.saturating_mul(PER_CALL);
        if self.exchanges.len() >= most {
            return Err(Skipped::InFlight);
        }
        self.budget.begin_call(now)?;
        if plan.probe {
            self.back_off_mut(plan.leg()).begin_probe(now);
        }
        let id = Id(self.next);
        self.next = self.next.wrapping_add(1);
        let exchange = Exchange {
            began: now,
            method: String::from_utf8_lossy(request.method()).into_owned(),
            plan,
            again,
            primary: Primary::Due,
            took: 0,
            stage: Stage::Gathering {
                headers,
                body: Vec::new(),
            },
            held: 0,
        };
        self.exchanges.insert(id, exchange);
        if !self.account(id) {
            self.remove(id, now);
            return Err(Skipped::Bytes);
        }
        Ok(id)
    }

    fn plan(
        &self,
        settings: &Settings,
        method: &[u8],
        coin: u64,
        now: Moment,
    ) -> Result<Plan, Skipped> {
        let comparing = settings.comparing.as_ref().filter(|_| is_safe(method));
        let stable = comparing.filter(|of| of.stable_cluster.is_some());
        let noise = stable.map_or(0.0, |of| (1.0 - of.verdict.raw_share) * 1e6);
        let stable_leave = stable.map_or(Leave::All, |_| self.stable.leave(now));
        let (pair, probe) = match (self.candidate.leave(now), stable_leave) {
            (Leave::None, _) | (_, Leave::None) => return Err(Skipped::BackOff),
            (Leave::Probe, _) => (Pair::Raw, true),
            (Leave::All, Leave::Probe) => (Pair::Noise, true),
            (Leave::All, Leave::All) if chance(coin, noise.round() as u32) => (Pair::Noise, false),
            (Leave::All, Leave::All) => (Pair::Raw, false),
        };
        let judged = comparing.is_some() && !probe;
        let confirms = stable.is_some_and(|of| of.verdict.confirm_per_raw.is_some());
        Ok(Plan {
            pair,
            judged,
            probe,
            confirmable: judged && confirms && pair == Pair::Raw,
        })
    }

    /// A chunk of the request's body.
    ///
    /// # Errors
    /// It is too long to be copied; the exchange is over.
    pub fn request_chunk(
        &mut self,
        settings: &Settings,
        id: Id,
        chunk: &[u8],
        now: Moment,
    ) -> Result<(), Skipped> {
        let Some(exchange) = self.exchanges.get_mut(&id) else {
            return Ok(());
        };
        let Stage::Gathering { body, .. } = &mut exchange.stage else {
            return Ok(());
        };
        let fits = chunk.len() <= settings.max_body_bytes.saturating_sub(body.len());
        if fits {
            body.extend_from_slice(chunk);
            if self.account(id) {
                return Ok(());
            }
        }
        self.remove(id, now);
        Err(if fits { Skipped::Bytes } else { Skipped::Body })
    }

    /// The request's body has come to its end: the call to make, at once.
    pub fn request_ended(&mut self, id: Id) -> Option<Call> {
        let exchange = self.exchanges.get_mut(&id)?;
        let Stage::Gathering { headers, body } = &mut exchange.stage else {
            return None;
        };
        let (headers, body) = (std::mem::take(headers), std::mem::take(body));
        exchange.stage = Stage::Sent;
        if let Some((_, again)) = &mut exchange.again {
            again.clone_from(&body);
        }
        let leg = exchange.plan.leg();
        self.account(id);
        Some(Call {
            id,
            leg,
            headers,
            body,
        })
    }
}

fn target(settings: &Settings, leg: Leg) -> Target<'_> {
    let candidate = leg == Leg::Candidate;
    Target {
        host: settings.host.as_deref().filter(|_| candidate),
        rewrite: settings.rewrite.as_ref().filter(|_| candidate),
        credentials: settings.forward_credentials,
    }
}
