//! One exchange: a sampled request, its primary answer and its call.

use super::super::budget::Moment;
use super::super::capture::{Answer, Outcome};
use super::super::compare::{Comparison, Difference};
use super::super::shape::Lines;
use super::super::verdict::Pair;
use super::Joined;

/// Which exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(pub(super) u64);

/// Whom a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leg {
    /// The other version.
    Candidate,
    /// Stable, once more.
    Stable,
}

/// A call to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The exchange that it belongs to.
    pub id: Id,
    /// Whom it goes to.
    pub leg: Leg,
    /// Its header lines.
    pub headers: Lines,
    /// Its body.
    pub body: Vec<u8>,
}

/// Why a copy that was to be compared was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotCompared {
    /// The proxy refused the call.
    NotSent,
    /// The way there was blocked: no host, the circuit breaker, nobody listening.
    Blocked,
    /// The call ended without headers, and stable's answer was too long to keep.
    TooLarge,
    /// The call failed after a time that stable took as well.
    Slow,
    /// Stable gave no answer of its own, or not all of it.
    Primary,
    /// One of the answers did not come in time.
    Expired,
    /// Too many bytes were held.
    Bytes,
}

impl NotCompared {
    /// All reasons, in the order in which they are documented and kept: new ones go to the end.
    pub const ALL: [Self; 7] = [
        Self::NotSent,
        Self::Blocked,
        Self::TooLarge,
        Self::Slow,
        Self::Primary,
        Self::Expired,
        Self::Bytes,
    ];

    /// The word for it in metrics, logs and documents.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotSent => "not-sent",
            Self::Blocked => "blocked",
            Self::TooLarge => "too-large",
            Self::Slow => "slow",
            Self::Primary => "primary",
            Self::Expired => "expired",
            Self::Bytes => "bytes",
        }
    }
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A pair was compared.
    Joined {
        /// The exchange.
        id: Id,
        /// What was found.
        joined: Joined,
        /// Whether it is kept, to be told by [`super::Table::confirm`] or [`super::Table::forget`]
        /// whether stable is asked once more.
        kept: bool,
    },
    /// Stable's further answer was compared with both others; as
    /// [`super::super::verdict::Ledger::confirm`] wants it.
    Confirmed {
        /// What the raw pair differed in.
        raw: Comparison,
        /// Stable's first answer beside its further one.
        stable_again: Comparison,
        /// Stable's further answer beside the candidate's.
        again_candidate: Comparison,
    },
    /// The copy came to nothing.
    NotCompared {
        /// Why.
        why: NotCompared,
        /// The pair that the verdict must be told is lost: its cause may lie in whom it went to.
        lost: Option<Pair>,
    },
}

/// What an exchange is for.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub pair: Pair,
    pub judged: bool,
    pub probe: bool,
    pub confirmable: bool,
}

impl Plan {
    /// The copy came to nothing.
    pub fn not_compared(&self, why: NotCompared) -> Step {
        let lost = match why {
            NotCompared::TooLarge | NotCompared::Slow | NotCompared::Primary => None,
            _ => Some(self.pair).filter(|_| self.judged),
        };
        Step::NotCompared { why, lost }
    }

    pub fn leg(&self) -> Leg {
        match self.pair {
            Pair::Raw => Leg::Candidate,
            Pair::Noise => Leg::Stable,
        }
    }
}

/// The answer that the caller gets.
#[derive(Debug)]
pub enum Primary {
    /// Nothing of it came yet.
    Due,
    /// It is coming.
    Coming(Answer),
    /// It is there.
    Whole(Answer),
    /// It will not be: stable gave none, or not all of it.
    Lost,
}

/// How far the copy is.
#[derive(Debug)]
pub enum Stage {
    /// The request's body is coming.
    Gathering { headers: Lines, body: Vec<u8> },
    /// The call is under way.
    Sent,
    /// It has ended.
    Back(Outcome),
    /// The pair was compared; whether stable is asked once more is not known yet.
    Told { raw: Comparison, candidate: Answer },
    /// The confirming call is under way.
    Confirming { raw: Comparison, candidate: Answer },
}

impl Stage {
    /// Whether a call is taken out of the budget.
    pub fn has_call(&self) -> bool {
        matches!(
            self,
            Self::Gathering { .. } | Self::Sent | Self::Confirming { .. }
        )
    }
}

#[derive(Debug)]
pub struct Exchange {
    pub began: Moment,
    pub method: String,
    pub plan: Plan,
    /// The confirming call, if there may be one.
    pub again: Option<(Lines, Vec<u8>)>,
    pub primary: Primary,
    /// How long the primary took, in milliseconds.
    pub took: u64,
    pub stage: Stage,
    /// The bytes taken out of the budget.
    pub held: usize,
}

impl Exchange {
    /// Whether it holds all that a confirming call needs.
    pub fn is_full(&self) -> bool {
        self.again.is_some()
    }

    /// The bytes that it holds now.
    pub fn size(&self) -> usize {
        let lines = |lines: &Lines| {
            lines.iter().fold(0_usize, |sum, (name, value)| {
                sum.saturating_add(name.len()).saturating_add(value.len())
            })
        };
        let found = |found: &Comparison| {
            found.differences.iter().fold(0_usize, |sum, of| {
                sum.saturating_add(size_of::<Difference>())
                    .saturating_add(of.path.len())
            })
        };
        let again = self.again.as_ref().map_or(0, |(headers, body)| {
            lines(headers).saturating_add(body.len())
        });
        let primary = match &self.primary {
            Primary::Coming(answer) | Primary::Whole(answer) => answer.held(),
            Primary::Due | Primary::Lost => 0,
        };
        let stage = match &self.stage {
            Stage::Gathering { headers, body } => lines(headers).saturating_add(body.len()),
            Stage::Back(Outcome::Answered(answer)) => answer.held(),
            Stage::Told { raw, candidate } | Stage::Confirming { raw, candidate } => {
                found(raw).saturating_add(candidate.held())
            }
            Stage::Sent | Stage::Back(_) => 0,
        };
        again.saturating_add(primary).saturating_add(stage)
    }

    /// Gives up the bodies of answers, and with them the confirming call.
    pub fn truncate(&mut self) {
        self.again = None;
        self.plan.confirmable = false;
        if let Primary::Coming(answer) | Primary::Whole(answer) = &mut self.primary {
            answer.truncate();
        }
        if let Stage::Back(Outcome::Answered(answer)) = &mut self.stage {
            answer.truncate();
        }
    }

    /// Whether the call may have ended without headers because the answer is larger than the host
    /// holds: stable's is too long to keep.
    pub fn is_large(&self, outcome: &Outcome) -> bool {
        let (Primary::Coming(answer) | Primary::Whole(answer)) = &self.primary else {
            return false;
        };
        *outcome == Outcome::Reset && answer.is_truncated()
    }

    /// Why this outcome is not compared, though the version may have failed: see the module above.
    pub fn excuse(&self, outcome: &Outcome, timeout: u64) -> Option<NotCompared> {
        match outcome {
            Outcome::NotSent => Some(NotCompared::NotSent),
            Outcome::Blocked => Some(NotCompared::Blocked),
            Outcome::Reset if self.is_large(outcome) => Some(NotCompared::TooLarge),
            Outcome::Reset | Outcome::Failed(504) if self.took >= timeout => {
                Some(NotCompared::Slow)
            }
            Outcome::Reset | Outcome::Failed(_) | Outcome::Answered(_) => None,
        }
    }
}
