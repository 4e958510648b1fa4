//! A token bucket: so many a second, and what a second allows may be used at once.
//!
//! Time comes from a wall clock that may be set. A step back gives no tokens and a step forward fills
//! the bucket.

/// A moment in milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl Moment {
    /// The milliseconds since `earlier`; 0 if it is not earlier.
    pub fn since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

/// One token costs this much: `per_second` a millisecond fill the bucket.
const ONE: u64 = 1_000;

/// A bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    per_second: u64,
    /// Thousandths of tokens that are there.
    tokens: u64,
    filled: Moment,
}

impl Bucket {
    /// A full one.
    pub fn new(per_second: u32, now: Moment) -> Self {
        let per_second = u64::from(per_second);
        Self {
            per_second,
            tokens: per_second.saturating_mul(ONE),
            filled: now,
        }
    }

    /// Takes a token; says whether there was one.
    #[must_use]
    pub fn take(&mut self, now: Moment) -> bool {
        let second = self.per_second.saturating_mul(ONE);
        let more = self.per_second.saturating_mul(now.since(self.filled));
        self.tokens = self.tokens.saturating_add(more).min(second);
        self.filled = now;
        let left = self.tokens.checked_sub(ONE);
        self.tokens = left.unwrap_or(self.tokens);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &mut Bucket, at: i64) -> usize {
        std::iter::repeat_with(|| bucket.take(Moment(at)))
            .take(1_000)
            .filter(|taken| *taken)
            .count()
    }

    #[test]
    fn a_second_may_be_used_at_once_and_no_more_than_it_is_saved() {
        let mut bucket = Bucket::new(5, Moment(0));
        assert_eq!(taken(&mut bucket, 0), 5);
        assert_eq!(taken(&mut bucket, 199), 0);
        assert_eq!(taken(&mut bucket, 200), 1);
        assert_eq!(taken(&mut bucket, 60_000), 5);
    }

    #[test]
    fn a_clock_that_is_set_back_gives_nothing() {
        let mut bucket = Bucket::new(5, Moment(10_000));
        assert_eq!(taken(&mut bucket, 10_000), 5);
        assert_eq!(taken(&mut bucket, 0), 0);
        assert_eq!(taken(&mut bucket, 1_000), 5);
        assert_eq!(taken(&mut bucket, i64::MAX), 5);
        assert_eq!(taken(&mut bucket, i64::MIN), 0);
    }
}
