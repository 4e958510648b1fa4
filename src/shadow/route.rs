//! The shadow of one route in one worker: the proxy's side tells it what happens to a request and
//! its call, and is told which calls to make.
//!
//! ```text
//! request headers    begin ──────────── Err: skipped, for this reason
//! request body       request_chunk …    Err: skipped
//! its end            request_ended ──── a call to make; then sent
//! answer             primary_headers, primary_chunk …, primary_trailers
//! log                primary_ended ──┐
//! the call's end     answered ───────┴─ Told: what was found, and perhaps a confirming call
//! each second        tick, and added: what is to be stored; then settle
//! ```
//!
//! Whatever the proxy's side leaves out or tells twice costs an observation at most.

use super::budget::Moment;
use super::capture::{Ended, Line, Outcome, Received};
use super::compare::{self, Comparison};
use super::join::{Call, Draws, Id, Leg, NotCompared, Step, Table};
use super::sample::{Skipped, sample};
use super::settings::Settings;
use super::stored::Stored;
use super::tally::Tally;
use super::verdict::{Ledger, Pair, Rule};
use crate::request::Request;

/// The shadow of one route in one worker.
#[derive(Debug)]
pub struct RouteShadow {
    settings: Settings,
    table: Table,
    ledger: Option<Ledger>,
    tally: Tally,
}

/// What came of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It was compared.
    Compared {
        /// Whose answers.
        pair: Pair,
        /// What was found.
        found: Comparison,
        /// A further call to make, to stable.
        call: Option<Call>,
    },
    /// It came to nothing.
    NotCompared(NotCompared),
}

impl Told {
    /// The word for it in access logs. A copy whose end is not known when the log is written is
    /// [`PENDING`], and a request without one has the word of its [`Skipped`].
    pub fn word(&self) -> &'static str {
        match self {
            Self::Compared { found, .. } if found.is_equal() => "equal",
            Self::Compared { .. } => "different",
            Self::NotCompared(why) => why.word(),
        }
    }
}

/// The access log's word for a copy that is still under way.
pub const PENDING: &str = "pending";

impl RouteShadow {
    /// Nothing is under way.
    pub fn new(settings: Settings, now: Moment) -> Self {
        let rule = settings.comparing.as_ref().map(|of| Rule::new(of.verdict));
        Self {
            table: Table::new(&settings, now),
            ledger: rule.map(Ledger::new),
            tally: Tally::default(),
            settings,
        }
    }

    /// What the policy says.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The proxy's name of whom a call goes to.
    pub fn cluster(&self, leg: Leg) -> &str {
        let comparing = self.settings.comparing.as_ref();
        let stable = comparing.and_then(|of| of.stable_cluster.as_deref());
        match (leg, stable) {
            (Leg::Stable, Some(stable)) => stable,
            _ => &self.settings.cluster,
        }
    }

    /// What is under way.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The evidence; none if nothing is compared.
    pub fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// Whether there is something that is not stored.
    pub fn is_fresh(&self) -> bool {
        !self.tally.is_empty() || self.ledger.as_ref().is_some_and(Ledger::is_fresh)
    }

    /// What is to stand in place of what is `stored`.
    ///
    /// Evidence about another revision is written over by a worker whose policy is in force. One
    /// whose policy is not (`outlived`: requests outlive their policy) leaves it as it is.
    pub fn added(&self, stored: &Stored, outlived: bool) -> Stored {
        let mut tally = stored.tally.clone();
        tally.merge(&self.tally);
        let of = |ledger: &Ledger| {
            let known = stored.evidence.as_ref();
            let foreign = known.filter(|evidence| outlived && !ledger.is_about(evidence));
            foreign.cloned().unwrap_or_else(|| ledger.merged(known))
        };
        Stored {
            tally,
            evidence: self.ledger.as_ref().map(of),
        }
    }

    /// It was stored: what was counted since the last time, which is counted no more.
    pub fn settle(&mut self, stored: Stored) -> Tally {
        if let (Some(ledger), Some(evidence)) = (&mut self.ledger, stored.evidence) {
            ledger.settle(evidence);
        }
        std::mem::take(&mut self.tally)
    }

    /// How many bytes of values differences have from now on, for the log; 0 for none.
    pub fn sample(&mut self, bytes: usize) {
        if let Some(comparing) = &mut self.settings.comparing {
            comparing.answers.limits.sample_bytes = bytes;
        }
    }

    /// Whether a call with this token is under way.
    pub fn awaits(&self, token: u32) -> bool {
        self.table.awaits(token)
    }

    /// Whether more of the primary answer's body would be kept.
    pub fn reads_primary(&self, id: Id) -> bool {
        self.table.reads_primary(id)
    }

    /// A request got stable, and goes there: is it copied? `request` is as it came, before any
    /// header was removed; `when` asks the policy's conditions, `random` gives 64 random bits.
    ///
    /// # Errors
    /// Why not.
    pub fn begin(
        &mut self,
        request: &Request<'_>,
        when: impl FnOnce() -> bool,
        random: &mut dyn FnMut() -> u64,
        now: Moment,
    ) -> Result<Id, Skipped> {
        let sampled = sample(&self.settings, request, when, random());
        let begun = sampled.and_then(|()| {
            let draws = Draws {
                coin: random(),
                span: random(),
                again: random(),
            };
            self.table.begin(&self.settings, request, draws, now)
        });
        begun.inspect_err(|why| self.tally.skip(*why))
    }

    /// A chunk of the request's body.
    ///
    /// # Errors
    /// Why the request is not copied after all.
    pub fn request_chunk(&mut self, id: Id, chunk: &[u8], now: Moment) -> Result<(), Skipped> {
        let taken = self.table.request_chunk(&self.settings, id, chunk, now);
        taken.inspect_err(|why| self.tally.skip(*why))
    }

    /// Its body can't be had: the request is not copied after all.
    ///
    /// # Errors
    /// Always, with the reason.
    pub fn give_up(&mut self, id: Id, now: Moment) -> Result<(), Skipped> {
        self.table.forget(id, now);
        self.tally.skip(Skipped::Body);
        Err(Skipped::Body)
    }

    /// The request has come to its end: the call to make.
    pub fn request_ended(&mut self, id: Id) -> Option<Call> {
        self.table.request_ended(id)
    }

    /// A call was made, and has this token; or none, as the proxy refused it.
    pub fn sent(&mut self, id: Id, token: Option<u32>, now: Moment) -> Option<Told> {
        match token {
            Some(_) => self.tally.send(),
            None => self.tally.end(Ended::NotSent),
        }
        let step = self.table.sent(&self.settings, id, token, now);
        self.told(step, now)
    }

    /// A call has ended.
    pub fn answered(&mut self, token: u32, received: &Received<'_>, now: Moment) -> Option<Told> {
        let most = self.settings.max_body_bytes;
        let outcome = match &self.settings.comparing {
            Some(comparing) => Outcome::of(received, &comparing.answers, most),
            None => Outcome::of(received, &compare::Settings::default(), 0),
        };
        self.tally.end(outcome.ended());
        let step = self.table.answered(&self.settings, token, outcome, now);
        self.told(step, now)
    }

    /// The answer's headers, on their way to the caller.
    pub fn primary_headers<'a>(
        &mut self,
        id: Id,
        status: u16,
        lines: impl IntoIterator<Item = Line<'a>>,
    ) {
        self.table
            .primary_headers(&self.settings, id, status, lines);
    }

    /// A chunk of the answer's body.
    pub fn primary_chunk(&mut self, id: Id, chunk: &[u8]) {
        self.table.primary_chunk(&self.settings, id, chunk);
    }

    /// The rest of the answer's body is not to be had: only status and headers are compared.
    pub fn primary_truncated(&mut self, id: Id) {
        self.table.primary_truncated(id);
    }

    /// The answer's trailers.
    pub fn primary_trailers<'a>(&mut self, id: Id, lines: impl IntoIterator<Item = Line<'a>>) {
        self.table.primary_trailers(&self.settings, id, lines);
    }

    /// The request is over for its caller. `whole` says whether the answer was the upstream's and
    /// came to its end.
    pub fn primary_ended(&mut self, id: Id, whole: bool, now: Moment) -> Option<Told> {
        let step = self.table.primary_ended(&self.settings, id, whole, now);
        self.told(step, now)
    }

    /// Once a second: ends what takes too long.
    pub fn tick(&mut self, now: Moment) {
        for step in self.table.tick(&self.settings, now) {
            self.told(Some(step), now);
        }
    }

    fn told(&mut self, step: Option<Step>, now: Moment) -> Option<Told> {
        match step? {
            Step::NotCompared { why, lost } => {
                self.tally.not_compared(why);
                if let (Some(pair), Some(ledger)) = (lost, &mut self.ledger) {
                    ledger.lose(pair);
                }
                Some(Told::NotCompared(why))
            }
            Step::Confirmed {
                raw,
                stable_again,
                again_candidate,
            } => {
                self.tally.confirmed();
                let ledger = self.ledger.as_mut()?;
                ledger.confirm(&raw, &stable_again, &again_candidate);
                None
            }
            Step::Joined { id, joined, kept } => {
                let (pair, found) = (joined.pair, joined.found);
                self.tally.compared(pair, &found);
                let ledger = self.ledger.as_mut().filter(|_| joined.judged);
                let wanted = ledger.is_some_and(|ledger| ledger.observe(pair, &found));
                let call = match wanted && kept {
                    true => self.table.confirm(id, now),
                    false => None,
                };
                if call.is_none() && kept {
                    self.table.forget(id, now);
                }
                if let (Some(_), Some(ledger)) = (&call, &mut self.ledger) {
                    ledger.pay();
                }
                Some(Told::Compared { pair, found, call })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ANSWER, settings, with_request};
    use super::*;

    struct Proxy {
        route: RouteShadow,
        random: u64,
        token: u32,
    }

    impl Proxy {
        fn new() -> Self {
            let mut settings = settings();
            settings.limits.per_second = 1_000_000;
            settings.comparing.as_mut().unwrap().verdict.raw_share = 0.5;
            Self {
                route: RouteShadow::new(settings, Moment(0)),
                random: 0,
                token: 0,
            }
        }

        /// Makes `call`; each version answers by `answer`.
        fn call(&mut self, call: &Call, answer: &dyn Fn(Leg, u32) -> String) -> Option<Told> {
            self.token += 1;
            assert_eq!(self.route.sent(call.id, Some(self.token), Moment(0)), None);
            let body = answer(call.leg, self.token);
            let received = Received {
                headers: &ANSWER,
                body: body.as_bytes(),
                body_size: body.len(),
                trailers: &[],
            };
            self.route.answered(self.token, &received, Moment(0))
        }

        fn request(&mut self, answer: &dyn Fn(Leg, u32) -> String) -> Result<Told, Skipped> {
            let random = &mut self.random;
            let mut random = || {
                // Knuth's constants for a linear congruential generator; the upper bits are good.
                *random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                *random
            };
            let route = &mut self.route;
            let id = with_request("GET", "/", &[], |request| {
                route.begin(request, || true, &mut random, Moment(0))
            })?;
            let call = self.route.request_ended(id).unwrap();
            self.route
                .primary_headers(id, 200, ANSWER[1..].iter().copied());
            self.route
                .primary_chunk(id, answer(Leg::Stable, 0).as_bytes());
            let early = self.route.primary_ended(id, true, Moment(0));
            let told = early.or_else(|| self.call(&call, answer)).unwrap();
            if let Told::Compared {
                call: Some(call), ..
            } = &told
            {
                assert_eq!(self.route.cluster(call.leg), "v1");
                assert_eq!(self.call(call, answer), None);
            }
            Ok(told)
        }

        fn store(&mut self, stored: Option<&Stored>) -> Stored {
            let none = Stored::default();
            let stored = self.route.added(stored.unwrap_or(&none), false);
            self.route.settle(stored.clone());
            stored
        }

        fn verdict(&mut self) -> String {
            let ledger = self.route.ledger.as_mut().unwrap();
            ledger.settle_alone();
            ledger.report().verdict.to_string()
        }
    }

    #[test]
    fn a_regression_fails_its_route_and_noise_does_not() {
        let noise = |_: Leg, token: u32| format!(r#"{{"id": {token}, "price": 1}}"#);
        let mut proxy = Proxy::new();
        (0..400).for_each(|_| drop(proxy.request(&noise)));
        assert_eq!(proxy.verdict(), "pass");
        let worse = |leg: Leg, token: u32| match leg {
            Leg::Stable => noise(leg, token),
            Leg::Candidate => format!(r#"{{"id": {token}, "price": 2}}"#),
        };
        (0..400).for_each(|_| drop(proxy.request(&worse)));
        assert_eq!(proxy.verdict(), "fail");
        let ledger = proxy.route.ledger().unwrap().clone();
        let report = ledger.report();
        let worse: Vec<_> = report.paths.iter().filter(|path| path.worse).collect();
        assert_eq!(worse.len(), 1);
        assert_eq!(worse[0].at.unwrap().0, "/price");
        assert!(report.confirming > 0);
        let tally = proxy.store(None).tally;
        assert_eq!(tally.confirming(), report.confirming);
        assert_eq!(tally.pairs(Pair::Raw), (0, report.raw));
        assert_eq!(tally.pairs(Pair::Noise), (0, report.noise));
        let held = proxy.route.table().budget();
        assert_eq!((held.in_flight(), held.bytes()), (0, 0));
        assert!(!proxy.route.is_fresh());
    }

    #[test]
    fn what_is_stored_is_the_sum_of_all_workers() {
        let noise = |_: Leg, token: u32| token.to_string();
        let (mut one, mut other) = (Proxy::new(), Proxy::new());
        (0..40).for_each(|_| drop(one.request(&noise)));
        (0..30).for_each(|_| drop(other.request(&noise)));
        let first = one.store(None);
        let both = other.store(Some(&first));
        assert_eq!(both.tally.sent(), 70 + both.tally.confirming());
        let report = other.route.ledger().unwrap().report();
        assert_eq!(report.raw + report.noise, 70);
        assert_eq!(one.store(Some(&both)), both, "nothing is added twice");
    }

    #[test]
    fn evidence_of_another_revision_is_left_by_who_outlived_its_policy() {
        let mut old = Proxy::new();
        drop(old.request(&|_, _| "1".to_owned()));
        let mut new = Proxy::new();
        let comparing = new.route.settings.comparing.as_mut().unwrap();
        comparing.verdict.about = 7;
        new.route = RouteShadow::new(new.route.settings.clone(), Moment(0));
        drop(new.request(&|_, _| "1".to_owned()));
        let by_new = new.store(None);
        let left = old.route.added(&by_new, true);
        assert_eq!(left.evidence, by_new.evidence);
        assert_eq!(left.tally.sent(), 2);
        let taken = old.route.added(&by_new, false);
        assert_ne!(taken.evidence, by_new.evidence);
    }

    #[test]
    fn what_is_skipped_is_counted_by_its_reason() {
        let mut proxy = Proxy::new();
        proxy.route.settings.share_ppm = 0;
        let told = proxy.request(&|_, _| String::new());
        assert_eq!(told, Err(Skipped::Share));
        let stored = proxy.store(None);
        assert!(
            stored
                .tally
                .skipped()
                .any(|(why, count)| why == Skipped::Share && count == 1)
        );
    }

    #[test]
    fn words_tell_what_became_of_a_copy() {
        let mut proxy = Proxy::new();
        let equal = proxy.request(&|_, _| "1".to_owned()).unwrap();
        assert_eq!(equal.word(), "equal");
        let different = proxy.request(&|_, token| token.to_string()).unwrap();
        assert_eq!(different.word(), "different");
        assert_eq!(Told::NotCompared(NotCompared::Blocked).word(), "blocked");
    }
}
