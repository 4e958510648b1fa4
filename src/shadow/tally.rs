//! What is counted of a route's shadow: by one worker since it last told, or by all together.
//!
//! All counters are one run of numbers, so that adding and writing can forget none. A worker adds
//! its run to the [stored](super::stored) one and clears its own, as it does with requests.

use super::capture::Ended;
use super::compare::{Bodies, Comparison};
use super::crc32::crc32;
use super::join::NotCompared;
use super::sample::Skipped;
use super::verdict::Pair;

/// Places for reasons, a few of them free: new ones keep the places of the old.
const MOST_SKIPPED: usize = 24;
const MOST_NOT_COMPARED: usize = 12;

const SKIPPED: usize = 0;
const NOT_COMPARED: usize = SKIPPED + MOST_SKIPPED;
const SENT: usize = NOT_COMPARED + MOST_NOT_COMPARED;
const RAW: usize = SENT + 1;
const NOISE: usize = RAW + 2;
const CONFIRMING: usize = NOISE + 2;
const BODIES: usize = CONFIRMING + 1;
const ENDED: usize = BODIES + 1;
/// How many counters there are.
const CELLS: usize = ENDED + Ended::ALL.len();

/// Whose bytes these are, and of which form.
const HEAD: [u8; 3] = *b"ST\x01";

/// The length of stored counters.
pub const BYTES: usize = HEAD.len() + CELLS * size_of::<u64>() + size_of::<u32>();

/// The counters of one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally([u64; CELLS]);

impl Default for Tally {
    fn default() -> Self {
        Self([0; CELLS])
    }
}

impl Tally {
    /// A request that got stable was not copied.
    pub fn skip(&mut self, why: Skipped) {
        self.add(SKIPPED.saturating_add(why as usize));
    }

    /// A call was made.
    pub fn send(&mut self) {
        self.add(SENT);
    }

    /// A call ended so.
    pub fn end(&mut self, ended: Ended) {
        self.add(ENDED.saturating_add(ended as usize));
    }

    /// A copy came to nothing.
    pub fn not_compared(&mut self, why: NotCompared) {
        self.add(NOT_COMPARED.saturating_add(why as usize));
    }

    /// A pair was compared.
    pub fn compared(&mut self, pair: Pair, found: &Comparison) {
        let first = match pair {
            Pair::Raw => RAW,
            Pair::Noise => NOISE,
        };
        self.add(first.saturating_add(usize::from(!found.is_equal())));
        if matches!(found.bodies, Bodies::NotCaptured | Bodies::TooLarge) {
            self.add(BODIES);
        }
    }

    /// A confirming call was compared.
    pub fn confirmed(&mut self) {
        self.add(CONFIRMING);
    }

    fn add(&mut self, place: usize) {
        if let Some(counter) = self.0.get_mut(place) {
            *counter = counter.saturating_add(1);
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (counter, more) in self.0.iter_mut().zip(other.0) {
            *counter = counter.saturating_add(more);
        }
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|counter| *counter == 0)
    }

    fn at(&self, place: usize) -> u64 {
        self.0.get(place).copied().unwrap_or(0)
    }

    /// Requests that were not copied, by reason.
    pub fn skipped(&self) -> impl Iterator<Item = (Skipped, u64)> {
        Skipped::ALL
            .into_iter()
            .map(|why| (why, self.at(SKIPPED.saturating_add(why as usize))))
    }

    /// Copies that came to nothing, by reason.
    pub fn without(&self) -> impl Iterator<Item = (NotCompared, u64)> {
        let all = NotCompared::ALL.into_iter();
        all.map(|why| (why, self.at(NOT_COMPARED.saturating_add(why as usize))))
    }

    /// Calls that ended, by how.
    pub fn ended(&self) -> impl Iterator<Item = (Ended, u64)> {
        let all = Ended::ALL.into_iter();
        all.map(|how| (how, self.at(ENDED.saturating_add(how as usize))))
    }

    /// Calls that were made, confirming ones among them.
    pub fn sent(&self) -> u64 {
        self.at(SENT)
    }

    /// Pairs that were equal, and pairs that differed.
    pub fn pairs(&self, pair: Pair) -> (u64, u64) {
        let first = match pair {
            Pair::Raw => RAW,
            Pair::Noise => NOISE,
        };
        (self.at(first), self.at(first.saturating_add(1)))
    }

    /// Confirming calls that were compared.
    pub fn confirming(&self) -> u64 {
        self.at(CONFIRMING)
    }

    /// Pairs of which only status and headers were compared, since a body was too long.
    pub fn bodies_not_compared(&self) -> u64 {
        self.at(BODIES)
    }

    /// The bytes to store.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = HEAD.to_vec();
        self.0
            .iter()
            .for_each(|counter| bytes.extend(counter.to_le_bytes()));
        bytes.extend(crc32(&bytes).to_le_bytes());
        bytes
    }

    /// Reads stored bytes; nothing if they are not such.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (bytes, sum) = bytes.split_last_chunk()?;
        if crc32(bytes) != u32::from_le_bytes(*sum) {
            return None;
        }
        let (words, rest) = bytes.strip_prefix(&HEAD)?.as_chunks();
        if words.len() != CELLS || !rest.is_empty() {
            return None;
        }
        let mut tally = Self::default();
        for (counter, word) in tally.0.iter_mut().zip(words) {
            *counter = u64::from_le_bytes(*word);
        }
        Some(tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(bodies: Bodies, unnamed: u64) -> Comparison {
        Comparison {
            differences: Vec::new(),
            unnamed,
            bodies,
            steps: 0,
        }
    }

    #[test]
    fn everything_is_counted_in_its_own_place() {
        let mut tally = Tally::default();
        for (times, why) in Skipped::ALL.into_iter().enumerate() {
            (0..=times).for_each(|_| tally.skip(why));
        }
        for (times, why) in NotCompared::ALL.into_iter().enumerate() {
            (0..=times).for_each(|_| tally.not_compared(why));
        }
        for (times, how) in Ended::ALL.into_iter().enumerate() {
            (0..=times).for_each(|_| tally.end(how));
        }
        tally.send();
        tally.confirmed();
        tally.compared(Pair::Raw, &found(Bodies::Compared, 0));
        tally.compared(Pair::Raw, &found(Bodies::NotCaptured, 1));
        tally.compared(Pair::Noise, &found(Bodies::TooLarge, 1));
        assert!(
            tally
                .skipped()
                .enumerate()
                .all(|(n, (_, count))| count == n as u64 + 1)
        );
        assert!(
            tally
                .without()
                .enumerate()
                .all(|(n, (_, count))| count == n as u64 + 1)
        );
        assert!(
            tally
                .ended()
                .enumerate()
                .all(|(n, (_, count))| count == n as u64 + 1)
        );
        assert_eq!((tally.sent(), tally.confirming()), (1, 1));
        assert_eq!(tally.pairs(Pair::Raw), (1, 1));
        assert_eq!(tally.pairs(Pair::Noise), (0, 1));
        assert_eq!(tally.bodies_not_compared(), 2);
        assert!(Skipped::ALL.len() <= MOST_SKIPPED && NotCompared::ALL.len() <= MOST_NOT_COMPARED);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            counts in prop::collection::vec((0..Skipped::ALL.len(), 0..5_usize), 0..9),
        ) {
            let mut tally = Tally::default();
            for (reason, times) in counts {
                (0..times).for_each(|_| tally.skip(Skipped::ALL[reason]));
            }
            let bytes = tally.to_bytes();
            prop_assert_eq!(bytes.len(), BYTES);
            prop_assert_eq!(Tally::from_bytes(&bytes), Some(tally));
        }

        #[test]
        fn foreign_and_damaged_bytes_are_absent(
            bytes in prop::collection::vec(any::<u8>(), 0..60), place in 0..CELLS * 8, bit in 0..8_u8,
        ) {
            prop_assert_eq!(Tally::from_bytes(&bytes), None);
            let mut damaged = Tally::default().to_bytes();
            damaged[place] ^= 1_u8 << bit;
            prop_assert_eq!(Tally::from_bytes(&damaged), None);
        }
    }
}
