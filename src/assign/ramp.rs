//! Ramps: a share that grows with the wall clock.
//!
//! A step is a pure function of the moment, so all proxies whose clocks agree are on the same step
//! without talking, and one that restarts comes back to it. A clock that is off by a second is on
//! the wrong step for a second; since shares only grow, that moves nobody back for good.

use super::share::Share;

/// Milliseconds since 1970, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub i64);

/// What a variant's share does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// It stays.
    Fixed(Share),
    /// It grows.
    Ramp(Ramp),
}

/// A share that grows by steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ramp {
    /// When the first step begins; the share is nothing before.
    pub start: Millis,
    /// The shares; none is below the one before it.
    pub steps: Vec<Share>,
    /// How long each step lasts, in milliseconds; more than 0. The last lasts for ever.
    pub every: u64,
}

impl Schedule {
    /// The share at `now`.
    pub fn at(&self, now: Millis) -> Share {
        match self {
            Self::Fixed(share) => *share,
            Self::Ramp(ramp) => ramp.at(now),
        }
    }

    /// The greatest share it will ever be.
    pub fn most(&self) -> Share {
        match self {
            Self::Fixed(share) => *share,
            Self::Ramp(ramp) => ramp.steps.last().copied().unwrap_or(Share::NONE),
        }
    }
}

impl Ramp {
    fn at(&self, now: Millis) -> Share {
        let Ok(since) = u64::try_from(now.0.saturating_sub(self.start.0)) else {
            return Share::NONE;
        };
        let step = since.checked_div(self.every).unwrap_or(u64::MAX);
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        let last = self.steps.len().saturating_sub(1);
        self.steps
            .get(step.min(last))
            .copied()
            .unwrap_or(Share::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_lasts_its_time_and_the_last_for_ever() {
        let share = |ppm| Share::from_ppm(ppm).unwrap();
        let ramp = Schedule::Ramp(Ramp {
            start: Millis(1000),
            steps: vec![share(10), share(20), share(30)],
            every: 100,
        });
        for (now, ppm) in [
            (i64::MIN, 0),
            (999, 0),
            (1000, 10),
            (1099, 10),
            (1100, 20),
            (1299, 30),
            (5000, 30),
            (i64::MAX, 30),
        ] {
            assert_eq!(ramp.at(Millis(now)), share(ppm), "at {now}");
        }
        assert_eq!(ramp.most(), share(30));
    }
}
