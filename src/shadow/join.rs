//! Which answers belong together: the exchanges of one worker and route that are under way.
//!
//! An exchange is a sampled request with its call. The coin falls when it begins, and only after
//! budgets and back-off have let it in: whether a pair is raw or noise must not depend on how either
//! upstream fares, or the verdict's labels would not be those of the coin. Its primary answer and
//! the call's come in any order; when both are there they are compared. A raw pair is then kept
//! until the caller of this module says whether stable is asked once more.
//!
//! What is not by the coin is compared and told, and not evidence ([`Joined::judged`]): pairs of
//! methods that write, which never go to stable twice, and the probe after a back-off.
//!
//! Calls that fail are compared too ([`super::capture`]), raw and noise pairs alike. Two cases are
//! left out because their cause may be the request's and not the version's: stable's answer was
//! itself too long to keep and the call ended without headers, as it does where an answer is larger
//! than the host holds; and stable took longer than a call may. Both rules see what stable did and
//! how the call ended, not whose call it was.
//!
//! Everything is bounded: exchanges by four times the calls that may be under way, their bytes by
//! the budget (past it bodies are given up first), their time by the call's time-out and 30 s.

mod begin;
mod exchange;
mod primary;

pub use begin::Draws;
pub use exchange::{Call, Id, Leg, NotCompared, Step};

use super::budget::{BackOff, Budget, Leave, Moment};
use super::capture::{Answer, Outcome};
use super::compare::{self, Comparison, compare};
use super::settings::Settings;
use super::verdict::Pair;
use exchange::{Exchange, Primary, Stage};
use std::collections::BTreeMap;

/// Exchanges for each call that may be under way: a primary answer may be longer under way than its
/// copy's.
const PER_CALL: usize = 4;

/// How long after the call's time-out the primary answer is waited for, in milliseconds.
const GRACE: u64 = 30_000;

/// A pair that was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Whose answers.
    pub pair: Pair,
    /// Whether it is evidence for the verdict.
    pub judged: bool,
    /// What was found, from stable's answer to the other.
    pub found: Comparison,
}

/// The exchanges of one worker and route.
#[derive(Debug)]
pub struct Table {
    budget: Budget,
    candidate: BackOff,
    stable: BackOff,
    exchanges: BTreeMap<Id, Exchange>,
    calls: BTreeMap<u32, Id>,
    next: u64,
}

impl Table {
    /// Nothing is under way.
    pub fn new(settings: &Settings, now: Moment) -> Self {
        Self {
            budget: Budget::new(settings.limits, now),
            candidate: BackOff::default(),
            stable: BackOff::default(),
            exchanges: BTreeMap::new(),
            calls: BTreeMap::new(),
            next: 0,
        }
    }

    /// What is used of the budgets.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Whether an upstream is asked.
    pub fn back_off(&self, leg: Leg) -> &BackOff {
        match leg {
            Leg::Candidate => &self.candidate,
            Leg::Stable => &self.stable,
        }
    }

    /// Whether a call with this token is under way.
    pub fn awaits(&self, token: u32) -> bool {
        self.calls.contains_key(&token)
    }

    fn back_off_mut(&mut self, leg: Leg) -> &mut BackOff {
        match leg {
            Leg::Candidate => &mut self.candidate,
            Leg::Stable => &mut self.stable,
        }
    }

    /// What the host said to a call: its token, or none if it was refused.
    pub fn sent(
        &mut self,
        settings: &Settings,
        id: Id,
        token: Option<u32>,
        now: Moment,
    ) -> Option<Step> {
        match token {
            Some(token) if self.exchanges.contains_key(&id) => {
                self.calls.insert(token, id);
                None
            }
            Some(_) => None,
            None => {
                let step = self.ended(settings, id, Outcome::NotSent, now);
                // Whatever stable answers, there is nothing to compare it with.
                step.or_else(|| {
                    Some(
                        self.remove(id, now)?
                            .plan
                            .not_compared(NotCompared::NotSent),
                    )
                })
            }
        }
    }

    /// A call ended. Tokens that are not known, or no longer, say nothing.
    pub fn answered(
        &mut self,
        settings: &Settings,
        token: u32,
        outcome: Outcome,
        now: Moment,
    ) -> Option<Step> {
        let id = self.calls.remove(&token)?;
        self.ended(settings, id, outcome, now)
    }

    fn ended(
        &mut self,
        settings: &Settings,
        id: Id,
        outcome: Outcome,
        now: Moment,
    ) -> Option<Step> {
        let exchange = self.exchanges.get_mut(&id)?;
        if !exchange.stage.has_call() {
            return None;
        }
        self.budget.end_call();
        let confirming = matches!(exchange.stage, Stage::Confirming { .. });
        let (leg, probe) = match confirming {
            true => (Leg::Stable, false),
            false => (exchange.plan.leg(), exchange.plan.probe),
        };
        let well = outcome.is_answer() || exchange.is_large(&outcome);
        let step = match std::mem::replace(&mut exchange.stage, Stage::Back(outcome)) {
            Stage::Confirming { raw, candidate } => self.confirmed(settings, id, raw, &candidate),
            _ => None,
        };
        self.back_off_mut(leg).ended(well, probe, now);
        if confirming {
            self.remove(id, now);
            return step;
        }
        if !self.account(id) {
            let plan = self.remove(id, now)?.plan;
            // A mirror's answer goes to nobody, so nothing is lost with it.
            let compares = settings.comparing.is_some();
            return compares.then(|| plan.not_compared(NotCompared::Bytes));
        }
        self.join(settings, id, now)
    }

    /// Asks stable once more, if budgets and back-off allow: the call to make. Else the exchange
    /// is over, and of any other than one that was kept for this nothing is done.
    pub fn confirm(&mut self, id: Id, now: Moment) -> Option<Call> {
        let told = |of: &Exchange| matches!(of.stage, Stage::Told { .. });
        self.exchanges.get(&id).filter(|of| told(of))?;
        let mut exchange = self.remove(id, now)?;
        let (headers, body) = exchange.again.take()?;
        if self.stable.leave(now) != Leave::All || self.budget.begin_call(now).is_err() {
            return None;
        }
        if let Stage::Told { raw, candidate } = std::mem::replace(&mut exchange.stage, Stage::Sent)
        {
            exchange.stage = Stage::Confirming { raw, candidate };
        }
        exchange.held = 0;
        exchange.began = now;
        self.exchanges.insert(id, exchange);
        self.account(id);
        Some(Call {
            id,
            leg: Leg::Stable,
            headers,
            body,
        })
    }

    /// Stable is not asked once more.
    pub fn forget(&mut self, id: Id, now: Moment) {
        self.remove(id, now);
    }

    /// Ends what takes too long.
    pub fn tick(&mut self, settings: &Settings, now: Moment) -> Vec<Step> {
        let most = millis(settings).saturating_add(GRACE);
        let mut over = Vec::new();
        for (id, exchange) in &mut self.exchanges {
            // The clock was set back: it waits from now on.
            exchange.began = exchange.began.min(now);
            if now.since(exchange.began) > most {
                over.push(*id);
            }
        }
        let end = |id| {
            let exchange = self.remove(id, now)?;
            let told = matches!(
                exchange.stage,
                Stage::Told { .. } | Stage::Confirming { .. }
            );
            let is_mirror = settings.comparing.is_none();
            (!told && !is_mirror).then(|| exchange.plan.not_compared(NotCompared::Expired))
        };
        over.into_iter().filter_map(end).collect()
    }

    /// Compares, if both answers are there.
    fn join(&mut self, settings: &Settings, id: Id, now: Moment) -> Option<Step> {
        let is_mirror = settings.comparing.is_none();
        let exchange = self.exchanges.get(&id)?;
        let primary = matches!(exchange.primary, Primary::Whole(_) | Primary::Lost);
        if !matches!(exchange.stage, Stage::Back(_)) || !(primary || is_mirror) {
            return None;
        }
        let mut exchange = self.remove(id, now)?;
        let comparing = settings.comparing.as_ref()?;
        let Stage::Back(outcome) = std::mem::replace(&mut exchange.stage, Stage::Sent) else {
            return None;
        };
        let excuse = exchange.excuse(&outcome, millis(settings));
        let (Primary::Whole(stable), None) = (&exchange.primary, excuse) else {
            let why = excuse.unwrap_or(NotCompared::Primary);
            return Some(exchange.plan.not_compared(why));
        };
        let other = outcome.into_answer()?;
        let found = between(&exchange.method, stable, &other, &comparing.answers);
        let kept = exchange.plan.confirmable && !found.is_equal();
        let joined = Joined {
            pair: exchange.plan.pair,
            judged: exchange.plan.judged,
            found,
        };
        if kept {
            let (raw, candidate) = (joined.found.clone(), other);
            exchange.stage = Stage::Told { raw, candidate };
            exchange.held = 0;
            self.exchanges.insert(id, exchange);
        }
        // An exchange that had to give up its bodies has nothing to compare a further answer with.
        let fits =
            kept && self.account(id) && self.exchanges.get(&id).is_some_and(Exchange::is_full);
        if !fits {
            self.remove(id, now);
        }
        Some(Step::Joined {
            id,
            joined,
            kept: fits,
        })
    }

    /// What a confirming call found; nothing if it says nothing about stable.
    fn confirmed(
        &mut self,
        settings: &Settings,
        id: Id,
        raw: Comparison,
        candidate: &Answer,
    ) -> Option<Step> {
        let exchange = self.exchanges.get_mut(&id)?;
        let Stage::Back(outcome) = std::mem::replace(&mut exchange.stage, Stage::Sent) else {
            return None;
        };
        exchange.stage = Stage::Back(Outcome::NotSent);
        let (Primary::Whole(stable), Some(comparing)) = (&exchange.primary, &settings.comparing)
        else {
            return None;
        };
        if exchange.excuse(&outcome, millis(settings)).is_some() {
            return None;
        }
        let again = outcome.into_answer()?;
        let method = &exchange.method;
        Some(Step::Confirmed {
            raw,
            stable_again: between(method, stable, &again, &comparing.answers),
            again_candidate: between(method, &again, candidate, &comparing.answers),
        })
    }

    /// Brings the budget up to what an exchange holds. Where there is no room its bodies are given
    /// up; says whether the rest fits.
    fn account(&mut self, id: Id) -> bool {
        let Some(exchange) = self.exchanges.get_mut(&id) else {
            return false;
        };
        self.budget.free(exchange.held);
        exchange.held = exchange.size();
        if !self.budget.hold(exchange.held) {
            exchange.truncate();
            exchange.held = exchange.size();
            if !self.budget.hold(exchange.held) {
                exchange.held = 0;
                return false;
            }
        }
        true
    }

    /// Takes an exchange out, with all that it holds.
    fn remove(&mut self, id: Id, now: Moment) -> Option<Exchange> {
        let exchange = self.exchanges.remove(&id)?;
        self.budget.free(exchange.held);
        self.calls.retain(|_, of| *of != id);
        if exchange.stage.has_call() {
            self.budget.end_call();
            let confirming = matches!(exchange.stage, Stage::Confirming { .. });
            if exchange.plan.probe && !confirming {
                self.back_off_mut(exchange.plan.leg())
                    .ended(false, true, now);
            }
        }
        Some(exchange)
    }
}

fn millis(settings: &Settings) -> u64 {
    u64::try_from(settings.timeout.as_millis()).unwrap_or(u64::MAX)
}

fn between(method: &str, left: &Answer, right: &Answer, of: &compare::Settings) -> Comparison {
    compare(method, &left.response(), &right.response(), of)
}

#[cfg(test)]
mod tests;
