//! Experiments: which requests are exposures, and what a conversion is.
//!
//! An exposure is a request that the key gave its variant (reasons `share` and `rest`). Only there the
//! variant was drawn: who came by a rule, an earlier hop's word or maintenance, or was kept out by a
//! gate, differs from the others by more than the variant. It is counted when it is decided, before
//! the version could make it go missing.
//!
//! A conversion is an exposure that a goal's conditions hold for and that was answered with one of its
//! statuses, whole and without an error. The key gives the caller's variant again with every request,
//! so that nothing has to be remembered of who saw what. For the same reason requests are counted, and
//! not callers.

use super::outcome::Outcome;
use super::statuses::{Status, StatusSet};
use crate::assign::condition::{Condition, all_hold};
use crate::assign::decide::Reason;
use crate::request::Request;

/// Goals of one experiment; a set of them is one byte.
pub const MOST_GOALS: usize = 8;

/// The experiment of a route.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// The goals; the first is the one that the gate judges.
    pub goals: Vec<Goal>,
    /// Whether each exposure is logged.
    pub exposure_log: bool,
}

/// A goal.
#[derive(Debug, Clone)]
pub struct Goal {
    /// Its name.
    pub name: String,
    /// Which requests: all must hold.
    pub when: Vec<Condition>,
    /// How they must be answered.
    pub statuses: StatusSet,
}

/// Some of an experiment's goals, by place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Goals(u8);

impl Goals {
    /// Whether the goal at `place` is among them.
    pub const fn has(self, place: usize) -> bool {
        place < MOST_GOALS && self.0 & 1_u8.wrapping_shl(place as u32) != 0
    }
}

/// Whether a request that was decided so is an exposure.
pub const fn is_exposure(reason: Reason) -> bool {
    matches!(reason, Reason::Share | Reason::Rest)
}

impl Experiment {
    /// The goals that `request` is for, however it will be answered.
    pub fn asked(&self, request: &Request<'_>) -> Goals {
        let mut goals = Goals::default();
        for (place, goal) in self.goals.iter().enumerate().take(MOST_GOALS) {
            if all_hold(&goal.when, request) {
                goals.0 |= 1_u8.wrapping_shl(place as u32);
            }
        }
        goals
    }

    /// Those of the goals `asked` that an answer meets.
    pub fn met(&self, asked: Goals, status: Option<Status>, outcome: Outcome) -> Goals {
        let mut met = Goals::default();
        let (Outcome::Ok | Outcome::Slow, Some(status)) = (outcome, status) else {
            return met;
        };
        for (place, goal) in self.goals.iter().enumerate() {
            if asked.has(place) && goal.statuses.has(status) {
                met.0 |= 1_u8.wrapping_shl(place as u32);
            }
        }
        met
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assign::testing::with_request;
    use crate::health::outcome::ErrorClass;
    use crate::policy::{self, Policy};

    const POLICY: &str = r#"{"routes": [{"name": "shop", "key": [{"header": "x-user-id"}],
        "variants": [{"name": "a", "share": "50%"}],
        "experiment": {"goals": [
            {"name": "bought", "when": [{"method": {}, "exact": "POST"}, {"path": {}, "exact": "/checkout"}]},
            {"name": "asked", "when": [{"path": {}, "prefix": "/"}], "statuses": ["2xx", "404"]}]}}]}"#;

    fn policy() -> Policy {
        policy::read(POLICY.as_bytes()).unwrap()
    }

    fn met(policy: &Policy, method: &str, path: &str, status: u64, outcome: Outcome) -> [bool; 2] {
        let experiment = policy.experiments[0].as_ref().unwrap();
        let asked = with_request(method, path, &[], |request| experiment.asked(request));
        let goals = experiment.met(asked, Some(Status::of(status)), outcome);
        [goals.has(0), goals.has(1)]
    }

    #[test]
    fn a_conversion_is_a_goals_request_that_was_answered_as_it_says() {
        let policy = policy();
        let ok = Outcome::Ok;
        for (method, path, status, outcome, expected) in [
            ("POST", "/checkout", 201, ok, [true, true]),
            ("POST", "/checkout", 201, Outcome::Slow, [true, true]),
            ("POST", "/checkout", 404, ok, [false, true]),
            ("POST", "/checkout", 302, ok, [false, false]),
            ("GET", "/checkout", 200, ok, [false, true]),
            ("POST", "/cart", 200, ok, [false, true]),
            ("POST", "/checkout", 200, Outcome::Aborted, [false, false]),
            ("POST", "/checkout", 200, Outcome::Refused, [false, false]),
            (
                "POST",
                "/checkout",
                200,
                Outcome::Error(ErrorClass::ResetAfter),
                [false, false],
            ),
        ] {
            let found = met(&policy, method, path, status, outcome);
            assert_eq!(found, expected, "{method} {path} {status} {outcome:?}");
        }
    }

    #[test]
    fn an_answer_without_a_status_meets_nothing() {
        let policy = policy();
        let experiment = policy.experiments[0].as_ref().unwrap();
        assert_eq!(
            experiment.met(Goals(3), None, Outcome::Ok),
            Goals::default()
        );
    }
}
