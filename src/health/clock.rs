//! How long things take, by a wall clock that may be set.
//!
//! The host gives no other clock. A clock that is set while a request is under way makes its
//! duration wrong by the step, and of all requests under way at once: a step forward would look
//! like an outage. So the clock notices steps, and a request that began before one has no
//! duration; it is counted, and its latency is not.
//!
//! A step is any move backward, or forward by more than `LONGEST_GAP` between two looks. Looks
//! come with every tick at least, so a process that stood still for that long is taken for a step
//! as well: those few latencies are lost. A step forward within the gap goes unnoticed and makes
//! latencies longer by at most the gap; clocks that are steered, as NTP does it, never step so.

use crate::assign::ramp::Millis;

/// Microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u64);

/// A moment in microseconds since 1970, as the host tells it; may lie anywhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wall(pub i64);

impl Wall {
    /// The same in milliseconds, rounded down.
    pub fn millis(self) -> Millis {
        Millis(self.0.div_euclid(1000))
    }
}

/// Ticks are a second apart; a clock unseen for ten of them has stood still or was set.
const LONGEST_GAP: u64 = 10_000_000;

/// When something began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    at: Wall,
    era: u32,
}

/// The wall clock of one worker, with its steps noticed.
#[derive(Debug, Default)]
pub struct Clock {
    last: Option<Wall>,
    /// Counts the steps.
    era: u32,
}

impl Clock {
    /// Looks at the clock; each tick does so at least.
    pub fn look(&mut self, now: Wall) {
        let stepped = self
            .last
            .is_some_and(|last| now < last || now.0.abs_diff(last.0) > LONGEST_GAP);
        if stepped {
            self.era = self.era.wrapping_add(1);
        }
        self.last = Some(now);
    }

    /// Something begins.
    pub fn start(&mut self, now: Wall) -> Started {
        self.look(now);
        Started {
            at: now,
            era: self.era,
        }
    }

    /// How long it has been going on at the last look; nothing if the clock was set meanwhile.
    pub fn lasted(&self, started: Started) -> Option<Micros> {
        let last = self.last.filter(|_| started.era == self.era)?;
        Some(Micros(last.0.abs_diff(started.at.0)))
    }

    /// How long it took; nothing if the clock was set meanwhile.
    pub fn since(&mut self, started: Started, now: Wall) -> Option<Micros> {
        self.look(now);
        (started.era == self.era && now >= started.at).then(|| Micros(now.0.abs_diff(started.at.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_before_a_step_has_no_duration() {
        let mut clock = Clock::default();
        let early = clock.start(Wall(1_000_000));
        assert_eq!(clock.since(early, Wall(1_000_250)), Some(Micros(250)));
        clock.look(Wall(900_000));
        assert_eq!(clock.since(early, Wall(2_000_000)), None, "set back");
        let between = clock.start(Wall(2_000_000));
        assert_eq!(
            clock.since(between, Wall(3_600_000_000)),
            None,
            "set forward"
        );
        let late = clock.start(Wall(3_600_000_000));
        assert_eq!(clock.since(late, Wall(3_600_000_009)), Some(Micros(9)));
    }

    #[test]
    fn a_request_of_minutes_has_a_duration_while_the_clock_is_looked_at() {
        let mut clock = Clock::default();
        let started = clock.start(Wall(0));
        (1..120).for_each(|second| clock.look(Wall(second * 1_000_000)));
        assert_eq!(
            clock.since(started, Wall(120_000_000)),
            Some(Micros(120_000_000))
        );
        assert_eq!(clock.lasted(started), Some(Micros(120_000_000)));
        clock.look(Wall(0));
        assert_eq!(clock.lasted(started), None, "set back");
    }

    #[test]
    fn the_ends_of_time_do_no_harm() {
        let mut clock = Clock::default();
        let started = clock.start(Wall(i64::MIN));
        assert_eq!(clock.since(started, Wall(i64::MAX)), None);
        assert_eq!(Wall(-1).millis(), Millis(-1));
    }
}
