//! Compact bytes for what is kept in shared data: LEB128 numbers, and runs of counters of which most
//! are 0. Reading never trusts: every value that does not fit is nothing.

/// Writes.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// What was written.
    pub fn done(self) -> Vec<u8> {
        self.0
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A number, in 1 to 10 bytes.
    pub fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// A number that may be negative (zigzag).
    pub fn signed(&mut self, number: i64) {
        self.number((number.wrapping_shl(1) ^ (number >> 63)) as u64);
    }

    /// Bytes with their length before them.
    pub fn text(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }

    /// A run of counters: how many are not 0, and for each the zeros before it and its value.
    pub fn run(&mut self, counters: &[u64]) {
        let set = counters.iter().filter(|counter| **counter != 0).count();
        self.number(set as u64);
        let mut zeros: u64 = 0;
        for counter in counters {
            if *counter == 0 {
                zeros = zeros.saturating_add(1);
            } else {
                self.number(zeros);
                self.number(*counter);
                zeros = 0;
            }
        }
    }
}

/// Reads what [`Writer`] wrote.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'b>(pub &'b [u8]);

impl<'b> Reader<'b> {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `count` bytes.
    pub fn raw(&mut self, count: usize) -> Option<&'b [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    /// A number; nothing if it does not fit 64 bits.
    pub fn number(&mut self) -> Option<u64> {
        let mut number: u64 = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            let placed = bits.wrapping_shl(shift);
            if placed.wrapping_shr(shift) != bits {
                return None;
            }
            number |= placed;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// A number that may be negative.
    pub fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ ((number & 1) as i64).wrapping_neg())
    }

    /// A number that says how many of something follow; nothing above `most`.
    pub fn count(&mut self, most: usize) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= most).then_some(count)
    }

    /// Bytes with their length before them; nothing if they are longer than `most`.
    pub fn text(&mut self, most: usize) -> Option<&'b [u8]> {
        let length = self.count(most)?;
        self.raw(length)
    }

    /// Fills a run of counters.
    pub fn run(&mut self, counters: &mut [u64]) -> Option<()> {
        counters.fill(0);
        let mut places = counters.iter_mut();
        for _ in 0..self.number()? {
            let zeros = usize::try_from(self.number()?).ok()?;
            *places.nth(zeros)? = self.number()?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            number: u64,
            signed: i64,
            text in prop::collection::vec(any::<u8>(), 0..40),
            run in prop::collection::vec(prop_oneof![Just(0_u64), any::<u64>()], 0..40),
        ) {
            let mut writer = Writer::default();
            writer.number(number);
            writer.signed(signed);
            writer.text(&text);
            writer.run(&run);
            let bytes = writer.done();
            let mut reader = Reader(&bytes);
            prop_assert_eq!(reader.number(), Some(number));
            prop_assert_eq!(reader.signed(), Some(signed));
            prop_assert_eq!(reader.text(40), Some(&text[..]));
            let mut again = vec![7; run.len()];
            prop_assert_eq!(reader.run(&mut again), Some(()));
            prop_assert_eq!(again, run);
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut run = [0; 9];
            let _ = Reader(&bytes).run(&mut run);
            let _ = Reader(&bytes).text(50);
            let _ = Reader(&bytes).signed();
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_nothing() {
        assert_eq!(Reader(&[0xff; 11]).number(), None);
        assert_eq!(Reader(&[0x80; 3]).number(), None);
        let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Reader(&most).number(), Some(u64::MAX));
        assert_eq!(Reader(&[5, 1]).text(4), None);
    }
}
