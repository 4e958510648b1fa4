//! What all workers together know of a route's shadow, as bytes for the proxy's shared data.
//!
//! Counts and evidence stand in one value, so that a pair is in both or in neither.
//!
//! ```text
//! the counters, of a fixed length | the evidence, if answers are compared
//! ```
//! Each part has its own mark and checksum; one that is foreign or damaged is absent alone.

use super::tally::{self, Tally};
use super::verdict::Evidence;

/// What is stored of one route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// What was counted.
    pub tally: Tally,
    /// What is known of the other version; none if answers are not compared.
    pub evidence: Option<Evidence>,
}

impl Stored {
    /// The bytes to store.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.tally.to_bytes();
        bytes.extend(self.evidence.iter().flat_map(Evidence::to_bytes));
        bytes
    }

    /// Reads stored bytes; what is not such is absent.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (tally, evidence) = bytes.split_at_checked(tally::BYTES).unwrap_or((bytes, &[]));
        Self {
            tally: Tally::from_bytes(tally).unwrap_or_default(),
            evidence: Evidence::from_bytes(evidence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::{Pair, Rule, Settings};
    use super::*;
    use proptest::prelude::*;

    fn stored() -> Stored {
        let mut tally = Tally::default();
        tally.send();
        let mut evidence = Evidence::new(&Rule::new(Settings::default()));
        evidence.lose(Pair::Raw);
        Stored {
            tally,
            evidence: Some(evidence),
        }
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let both = stored();
        assert_eq!(Stored::from_bytes(&both.to_bytes()), both);
        let mirror = Stored {
            evidence: None,
            ..both
        };
        assert_eq!(Stored::from_bytes(&mirror.to_bytes()), mirror);
    }

    #[test]
    fn a_damaged_part_leaves_the_other() {
        let mut bytes = stored().to_bytes();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let read = Stored::from_bytes(&bytes);
        assert_eq!((read.tally.sent(), read.evidence), (1, None));
        bytes[last] ^= 1;
        bytes[0] ^= 1;
        let read = Stored::from_bytes(&bytes);
        assert_eq!(read.tally.sent(), 0);
        assert!(read.evidence.is_some());
    }

    proptest! {
        #[test]
        fn foreign_bytes_are_absent(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert_eq!(Stored::from_bytes(&bytes), Stored::default());
        }
    }
}
