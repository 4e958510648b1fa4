//! Which ticks count, and for how long, whatever the clock does.

use super::input::At;
use super::settings::Settings;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A gap longer than this (and than ten ticks) is a clock that jumped or a proxy that slept.
const LONGEST: Duration = Duration::from_secs(60);

/// The time of the last tick and the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    last: Option<At>,
    /// Seconds since the canary's first request.
    warm_s: Option<f64>,
}

impl Clock {
    /// The seconds since the tick before; nothing if this tick must not be judged: it comes
    /// twice, is earlier than the last, or so late that its counts span a gap. Either way the next
    /// one is measured from here.
    pub fn advance(&mut self, at: At, settings: &Settings) -> Option<f64> {
        let Some(last) = self.last.replace(at) else {
            return Some(settings.tick.as_secs_f64());
        };
        let longest = LONGEST.max(settings.tick.saturating_mul(10));
        at.since(last)
            .filter(|gap| !gap.is_zero() && *gap <= longest)
            .map(|gap| gap.as_secs_f64())
    }

    /// Whether the warm-up was over before this tick. It begins with the canary's first request.
    pub fn warmed(&mut self, canary_requests: f64, seconds: f64, settings: &Settings) -> bool {
        let warm_s = self.warm_s.unwrap_or(0.0);
        if self.warm_s.is_some() || canary_requests > 0.0 {
            self.warm_s = Some(warm_s + seconds);
        }
        warm_s + 1e-6 >= settings.warmup.as_secs_f64()
    }

    /// Begins the warm-up anew.
    pub fn chill(&mut self) {
        self.warm_s = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_that_come_twice_late_or_over_a_gap_are_not_judged() {
        let settings = Settings::default();
        let mut clock = Clock::default();
        let mut at = |ms| clock.advance(At(ms), &settings);
        assert_eq!(at(10_000), Some(1.0));
        assert_eq!(at(11_500), Some(1.5));
        assert_eq!(at(11_500), None);
        assert_eq!(at(9_000), None);
        assert_eq!(at(10_000), Some(1.0));
        assert_eq!(at(3_610_000), None);
        assert_eq!(at(3_611_000), Some(1.0));
        assert_eq!(at(0), None);
        assert_eq!(at(u64::MAX), None);
    }

    #[test]
    fn the_warmup_begins_with_the_canarys_first_request() {
        let settings = Settings::default();
        let mut clock = Clock::default();
        for _ in 0..100 {
            assert!(!clock.warmed(0.0, 1.0, &settings));
        }
        let cold = (0..).take_while(|_| !clock.warmed(5.0, 1.0, &settings));
        assert_eq!(cold.count(), 60);
    }
}
