//! One worker's part in the evidence about a route.
//!
//! Workers share no memory but a store of bytes that is read, changed and written back. Each keeps
//! the evidence as it last read it and what it has counted since; to publish, it adds its own
//! counts to what is stored by then, and writes that back unless someone else was faster. So the
//! stored evidence has one history, in which ranks are given out once and the verdict is looked at
//! only there: judging each worker's own view would be many histories, which the bound on false
//! alarms does not cover.
//!
//! Confirming calls are paid for in tokens: at most [`TOKENS`] at once, and a share of one for each
//! raw pair. The bucket is full at first, so that the noisiest paths are closed and a broken
//! candidate found among the first hundred pairs.

use super::evidence::{Evidence, Pair};
use super::{Report, Rule};
use crate::shadow::compare::Comparison;

/// The tokens that may be saved up, and that there are at first.
const TOKENS: f64 = 64.0;

/// The evidence about a route as one worker sees it.
#[derive(Debug, Clone)]
pub struct Ledger {
    rule: Rule,
    /// What was stored when last read.
    base: Evidence,
    /// That, and what was counted here since.
    now: Evidence,
    tokens: f64,
}

impl Ledger {
    /// A ledger without evidence.
    pub fn new(rule: Rule) -> Self {
        let empty = Evidence::new(&rule);
        Self {
            rule,
            base: empty.clone(),
            now: empty,
            tokens: TOKENS,
        }
    }

    /// Counts one comparison; says whether a confirming call to stable is wanted and paid for.
    ///
    /// Every sampled pair must be counted, whatever it shows and whatever becomes of the
    /// confirming call.
    pub fn observe(&mut self, pair: Pair, comparison: &Comparison) -> bool {
        let settings = self.rule.settings();
        let per_raw = settings.confirm_per_raw;
        let mut wanted = false;
        if let (Pair::Raw, Some(per_raw)) = (pair, per_raw) {
            self.tokens = (self.tokens + per_raw).min(TOKENS);
            wanted = self.tokens >= 1.0 && self.now.is_open(comparison);
        }
        self.now.observe(pair, comparison);
        wanted
    }

    /// Counts a sampled pair that was not compared; see [`Evidence::lose`].
    pub fn lose(&mut self, pair: Pair) {
        self.now.lose(pair);
    }

    /// Pays for a confirming call that is being made.
    pub fn pay(&mut self) {
        self.tokens -= 1.0;
    }

    /// Counts what a confirming call found; see [`Evidence::confirm`].
    pub fn confirm(
        &mut self,
        raw: &Comparison,
        stable_again: &Comparison,
        again_candidate: &Comparison,
    ) {
        self.now.confirm(raw, stable_again, again_candidate);
    }

    /// Whether something was counted that is not published.
    pub fn is_fresh(&self) -> bool {
        self.now != self.base
    }

    /// Whether `evidence` is about what this is about.
    pub fn is_about(&self, evidence: &Evidence) -> bool {
        evidence.is_about(&self.rule)
    }

    /// The `stored` evidence with what was counted here, judged: the bytes of this are to be
    /// stored. With `None` (nothing is stored, or nothing that can be read) or evidence about
    /// something else, it is what this worker knows.
    pub fn merged(&self, stored: Option<&Evidence>) -> Evidence {
        let mut merged = match stored.filter(|stored| self.is_about(stored)) {
            Some(stored) => {
                let mut sum = stored.clone();
                sum.absorb(&self.now, &self.base);
                sum
            }
            None => self.now.clone(),
        };
        merged.judge(&self.rule);
        merged
    }

    /// Goes on from `stored`, which holds all that was counted here.
    pub fn settle(&mut self, stored: Evidence) {
        self.base = stored.clone();
        self.now = stored;
    }

    /// Publishes to nobody: for a single worker.
    pub fn settle_alone(&mut self) {
        self.now.judge(&self.rule);
        self.base = self.now.clone();
    }

    /// The verdict by the evidence as last settled.
    pub fn report(&self) -> Report<'_> {
        self.base.report(&self.rule)
    }
}
