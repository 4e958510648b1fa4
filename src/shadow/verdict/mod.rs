//! Is the candidate worse than stable, or do its answers differ only as stable's own do?
//!
//! Timestamps, request ids and orders differ between any two calls, so a difference alone says
//! nothing. Two bodies of evidence are gathered for each (path, kind): by labels, whether it falls
//! on raw pairs more often than on noise pairs, and by the odd one out, whether of three answers
//! it is the candidate's that is alone. Each is a test martingale, so is their mean E, and a path is worse
//! once E reaches 1 / (alpha w), w its share of the false alarms. By Ville's inequality and the
//! union bound the probability that a good route ever fails is at most alpha, **at every look**:
//! after each comparison, on a dashboard, in a pipeline. Rules that compare rates against a
//! threshold (Diffy's, say) fail most good routes if looked at often enough, and exact tests hold
//! for ever where noise pairs are few.
//!
//! The shares: a quarter for the status, a quarter for the gRPC status, and the other half for the
//! paths in the order of their first appearance, half of it falling off as 1 / (k (k + 1)) and half
//! evenly. An early path is cheap to convict, and the last of [`MAX_PATHS`] not out of reach.
//!
//! Limits: at most [`MAX_PATHS`] paths have counts of their own, the others share one; paths are
//! kept to [`MAX_NAME`] bytes. A regression in 0.5 % of the answers is not seen within 3,000
//! comparisons. Evidence is about one candidate, one set of ignore rules and one probability of the
//! coin: with another of these it starts afresh ([`Rule::about`]).

mod bytes;
mod evidence;
mod label;
mod ledger;
mod odd_one;

pub use evidence::{Evidence, Pair};
pub use ledger::Ledger;

use super::compare::Kind;
use label::Grid;
use std::fmt;

/// The paths of a route that have counts of their own.
pub const MAX_PATHS: usize = 256;

/// The bytes to which a path's name is kept; a longer one ends in `…` and its checksum.
pub const MAX_NAME: usize = 256;

/// What the policy says about judging a route; with the defaults of the policy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The probability that a sampled request becomes a raw pair; 1 less the policy's `noise`.
    pub raw_share: f64,
    /// The probability that a good route ever fails.
    pub alpha: f64,
    /// The raw and the noise pairs without which a route does not pass.
    pub min_pairs: u64,
    /// Confirming calls to stable for each raw pair; `None` where stable must not be asked twice
    /// (methods that write).
    pub confirm_per_raw: Option<f64>,
    /// What the evidence is about: a hash of the candidate's revision and of the ignore rules.
    pub about: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            raw_share: 0.95,
            alpha: 0.01,
            min_pairs: 100,
            confirm_per_raw: Some(0.1),
            about: 0,
        }
    }
}

/// The rule by which evidence becomes a verdict.
#[derive(Debug, Clone)]
pub struct Rule {
    settings: Settings,
    grid: Grid,
}

impl Rule {
    /// The rule that `settings` describe.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            grid: Grid::new(settings.raw_share),
        }
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What evidence by this rule is about: evidence about something else is not added to it.
    pub fn about(&self) -> [u64; 2] {
        [self.settings.about, self.settings.raw_share.to_bits()]
    }

    /// The logarithm that evidence must reach for a path with the share `weight`.
    fn threshold(&self, weight: f64) -> f64 {
        -(self.settings.alpha * weight).ln()
    }
}

/// What the evidence comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No regression was found in enough pairs.
    Pass,
    /// Too few pairs to say.
    Hold,
    /// Some path is worse than stable's own noise.
    Fail,
}

impl Verdict {
    /// The name in documents and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Hold => "hold",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A verdict with the counts that it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report<'a> {
    /// The verdict.
    pub verdict: Verdict,
    /// The raw pairs compared.
    pub raw: u64,
    /// The noise pairs compared.
    pub noise: u64,
    /// The confirming calls made.
    pub confirming: u64,
    /// The paths that differed in some pair, sorted by path, then kind; the shared count last.
    pub paths: Vec<PathReport<'a>>,
}

/// How often a path differed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathReport<'a> {
    /// Path and kind; `None` for all paths past the bound together.
    pub at: Option<(&'a str, Kind)>,
    /// In how many raw pairs.
    pub raw: u64,
    /// In how many noise pairs.
    pub noise: u64,
    /// Whether the evidence reached the threshold, at this look or an earlier one.
    pub worse: bool,
}

#[cfg(test)]
mod tests;
