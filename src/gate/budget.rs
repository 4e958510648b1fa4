//! The route's error budget: how much of it is left, and whether ramps should wait.
//!
//! An objective of 99.9 % over a day allows one request in a thousand to fail. The budget counts
//! all of the route's requests, stable's as well, because callers count them all. The window
//! slides in 48 parts; before it has filled, it is what has come so far. One proxy keeps at most a
//! day; longer windows are the fleet's.

use crate::bounds::within;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

const PARTS: usize = 48;
/// The longest window of one proxy.
pub const MAX_WINDOW: Duration = Duration::from_secs(86_400);
/// Fewer errors than this freeze nothing: on a quiet route one error is a whole budget.
const LEAST_ERRORS: u64 = 10;

/// What people set about a budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetSettings {
    /// The part of requests that must succeed, below 1.
    pub objective: f64,
    /// Over how long; longer than [`MAX_WINDOW`] counts as that.
    pub window: Duration,
    /// Ramps wait while less than this part of the budget is left.
    pub freeze_below: f64,
}

/// Requests and errors of the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    parts: VecDeque<(u64, u64)>,
    age_s: f64,
}

impl Budget {
    /// Takes in what came to the route in `elapsed`.
    pub fn learn(
        &mut self,
        settings: &BudgetSettings,
        requests: u64,
        errors: u64,
        elapsed: Duration,
    ) {
        let part_s = settings.window.min(MAX_WINDOW).as_secs_f64() / PARTS as f64;
        self.age_s += elapsed.as_secs_f64();
        if self.parts.is_empty() || self.age_s >= part_s {
            let passed = within(self.age_s / part_s.max(1e-3), 1.0, PARTS as f64) as usize;
            for _ in 0..passed {
                self.parts.push_back((0, 0));
            }
            while self.parts.len() > PARTS {
                self.parts.pop_front();
            }
            self.age_s = 0.0;
        }
        if let Some((all, bad)) = self.parts.back_mut() {
            *all = all.saturating_add(requests);
            *bad = bad.saturating_add(errors.min(requests));
        }
    }

    /// The part of the budget that is left, from 1 to 0; 1 of nothing.
    #[must_use]
    pub fn left(&self, settings: &BudgetSettings) -> f64 {
        let (all, bad) = self.sums();
        if bad == 0 {
            return 1.0;
        }
        let allowed = (1.0 - settings.objective).max(0.0) * all as f64;
        within(1.0 - bad as f64 / allowed, 0.0, 1.0)
    }

    /// Whether ramps should stay where they are.
    #[must_use]
    pub fn freezes(&self, settings: &BudgetSettings) -> bool {
        self.sums().1 >= LEAST_ERRORS && self.left(settings) < settings.freeze_below
    }

    fn sums(&self) -> (u64, u64) {
        self.parts.iter().fold((0, 0), |(all, bad), (n, k)| {
            (all.saturating_add(*n), bad.saturating_add(*k))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BudgetSettings = BudgetSettings {
        objective: 0.999,
        window: Duration::from_secs(4_800),
        freeze_below: 0.1,
    };

    fn after(ticks: impl Iterator<Item = (u64, u64)>) -> Budget {
        let mut budget = Budget::default();
        for (requests, errors) in ticks {
            budget.learn(&SETTINGS, requests, errors, Duration::from_secs(1));
        }
        budget
    }

    #[test]
    fn half_the_allowed_errors_leave_half_the_budget() {
        let budget = after((0..1_000).map(|t| (100, u64::from(t % 20 == 0))));
        assert!((budget.left(&SETTINGS) - 0.5).abs() < 1e-9);
        assert!(!budget.freezes(&SETTINGS));
    }

    #[test]
    fn an_overspent_budget_is_empty_and_freezes() {
        let budget = after((0..100).map(|_| (100, 1)));
        assert_eq!(budget.left(&SETTINGS), 0.0);
        assert!(budget.freezes(&SETTINGS));
    }

    #[test]
    fn one_error_on_a_quiet_route_freezes_nothing() {
        assert!(!after([(3, 1)].into_iter()).freezes(&SETTINGS));
    }

    #[test]
    fn errors_older_than_the_window_are_forgiven() {
        let bad = (0..100).map(|_| (100, 50));
        let good = (0..4_900).map(|_| (100, 0));
        assert_eq!(after(bad.chain(good)).left(&SETTINGS), 1.0);
    }

    #[test]
    fn a_long_gap_empties_the_window() {
        let mut budget = after((0..100).map(|_| (100, 50)));
        budget.learn(&SETTINGS, 100, 0, Duration::from_secs(100_000));
        assert_eq!(budget.left(&SETTINGS), 1.0);
    }
}
