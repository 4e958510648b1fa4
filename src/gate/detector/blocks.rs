//! Ticks are summed into blocks before they count as evidence.
//!
//! A block closes on requests or on age, never on what is being judged: a cut that waits for
//! errors would let errors choose their own denominator. The limits keep a block to one tick under
//! load (5 canary requests and 20 of stable, where the binomial comparison becomes useful) and to
//! a minute on a quiet route.

use super::sample::Pair;
use serde::{Deserialize, Serialize};

const CANARY_REQUESTS: f64 = 5.0;
const STABLE_REQUESTS: f64 = 20.0;
const MAX_AGE_S: f64 = 60.0;

/// Counts on their way to becoming a block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Blocks {
    sum: Pair,
    age_s: f64,
}

/// What one block holds, and the seconds it covers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    /// The counts of both sides.
    pub pair: Pair,
    /// Seconds.
    pub age_s: f64,
}

impl Blocks {
    /// Adds a tick, and gives the block if this tick completes it.
    ///
    /// A side that stays empty holds the block open without end: with nobody to compare there is
    /// no evidence.
    pub fn add(&mut self, pair: Pair, seconds: f64) -> Option<Block> {
        self.sum.add(pair);
        self.age_s += seconds;
        let Pair { stable, canary } = self.sum;
        let full = canary.n >= CANARY_REQUESTS && stable.n >= STABLE_REQUESTS;
        let old = self.age_s >= MAX_AGE_S && canary.n > 0.0 && stable.n > 0.0;
        if !full && !old {
            return None;
        }
        let Blocks { sum: pair, age_s } = std::mem::take(self);
        Some(Block { pair, age_s })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Sample;

    fn pair(stable: f64, canary: f64) -> Pair {
        Pair {
            stable: Sample { n: stable, k: 1.0 },
            canary: Sample { n: canary, k: 1.0 },
        }
    }

    #[test]
    fn a_busy_tick_is_a_block() {
        let block = Blocks::default().add(pair(20.0, 5.0), 1.0).unwrap();
        assert_eq!((block.pair, block.age_s), (pair(20.0, 5.0), 1.0));
    }

    #[test]
    fn a_quiet_route_closes_a_block_after_a_minute() {
        let mut blocks = Blocks::default();
        let ages: Vec<_> = (0..120)
            .filter_map(|_| blocks.add(pair(1.0, 0.01), 1.0))
            .map(|block| block.age_s)
            .collect();
        assert_eq!(ages, [60.0, 60.0]);
    }

    #[test]
    fn with_one_side_alone_no_block_ever_closes() {
        let mut blocks = Blocks::default();
        assert!((0..1_000).all(|_| blocks.add(pair(50.0, 0.0), 1.0).is_none()));
        let mut blocks = Blocks::default();
        assert!((0..1_000).all(|_| blocks.add(pair(0.0, 50.0), 1.0).is_none()));
    }
}
