//! Whose turn it is: the work of a second, spread over its quarters.
//!
//! All routes are handed on and looked at once a second. Where there are many they take turns by
//! the quarters of the wall clock's second, so that no beat takes long; the first 25, and
//! so all of most policies, in the first quarter. Workers' beats have phases of their own, but all
//! of them fall into the same quarters: what is handed on in one is looked at in the next, when
//! every worker has had its beat.
//!
//! A worker that missed beats makes up for the last second's. A clock that was set back does the
//! quarter that it shows.

use crate::assign::ramp::Millis;

/// A beat, in milliseconds.
pub const BEAT_MS: u32 = 250;
/// Turns of a second.
const TURNS: usize = 4;
/// Routes of a turn: 100 routes have four.
const TOGETHER: usize = 25;

/// The turn of the route at `index` in its policy.
pub const fn of(index: usize) -> usize {
    index / TOGETHER % TURNS
}

/// What is due in one quarter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The turn of the routes that are to be looked at.
    pub look: usize,
    /// The turn of those that are to be handed on, after that.
    pub hand_on: usize,
}

/// The quarters that were done.
#[derive(Debug, Default)]
pub struct Turns {
    last: Option<i64>,
}

impl Turns {
    /// What is due by `now`, the earliest first.
    pub fn due(&mut self, now: Millis) -> impl Iterator<Item = Due> + use<> {
        let quarter = now.0.div_euclid(i64::from(BEAT_MS));
        // The last second's.
        let oldest = quarter.saturating_sub(3);
        let first = match self.last.replace(quarter) {
            Some(last) if last <= quarter => last.saturating_add(1).max(oldest),
            _ => quarter,
        };
        (first..=quarter).map(|quarter| Due {
            look: turn(quarter.saturating_sub(1)),
            hand_on: turn(quarter),
        })
    }
}

fn turn(quarter: i64) -> usize {
    usize::try_from(quarter.rem_euclid(TURNS as i64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(turns: &mut Turns, now: i64) -> Vec<(usize, usize)> {
        let due = turns.due(Millis(now));
        due.map(|due| (due.look, due.hand_on)).collect()
    }

    #[test]
    fn each_turn_is_handed_on_once_a_second_and_looked_at_a_quarter_later() {
        let mut turns = Turns::default();
        assert_eq!(due(&mut turns, 10_010), [(3, 0)]);
        assert_eq!(due(&mut turns, 10_255), [(0, 1)]);
        assert_eq!(due(&mut turns, 10_490), [], "a beat too early");
        assert_eq!(due(&mut turns, 10_745), [(1, 2)]);
        assert_eq!(due(&mut turns, 11_001), [(2, 3), (3, 0)], "a beat too late");
    }

    #[test]
    fn missed_beats_are_made_up_for_by_a_second() {
        let mut turns = Turns::default();
        due(&mut turns, 0);
        let all = [(0, 1), (1, 2), (2, 3), (3, 0)];
        assert_eq!(due(&mut turns, 1_000), all);
        assert_eq!(due(&mut turns, 1_000_000_000), all);
        assert_eq!(due(&mut turns, i64::MAX).len(), 4);
    }

    #[test]
    fn a_clock_that_was_set_back_goes_on_from_there() {
        let mut turns = Turns::default();
        due(&mut turns, 5_000);
        assert_eq!(due(&mut turns, 1_250), [(0, 1)]);
        assert_eq!(due(&mut turns, 1_500), [(1, 2)]);
        assert_eq!(due(&mut turns, i64::MIN).len(), 1);
    }

    #[test]
    fn few_routes_have_one_turn_and_a_hundred_have_four() {
        assert!((0..TOGETHER).all(|route| of(route) == 0));
        let mut turns: Vec<usize> = (0..100).map(of).collect();
        turns.dedup();
        assert_eq!(turns, [0, 1, 2, 3]);
    }
}
