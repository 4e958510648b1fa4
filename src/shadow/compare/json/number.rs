//! The exact value of a JSON number, as one text for each value.
//!
//! The form is `[-]digits[e exponent]`: the digits neither begin nor end with 0, the exponent is
//! left out when it is 0, and zero of any sign is `0`. So 1.0, 10e-1 and 1 are all `1`, and
//! 1e1000000000 stays as short as it came. The exponent may itself be longer than any integer type:
//! past 18 digits it is added as text.

use std::fmt::Write;

/// The exponents up to this many digits are added as integers.
const DIGITS: usize = 18;

/// 10^18: one more than [`DIGITS`] nines.
const BASE: i64 = 1_000_000_000_000_000_000;

/// Appends the form of the number to `out`. `number` follows the grammar of RFC 8259.
pub(super) fn canonical(number: &str, out: &mut String) {
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let start = out.len();
    if negative {
        out.push('-');
    }
    let digits = out.len();
    let whole = whole.trim_start_matches('0');
    out.push_str(whole);
    out.push_str(if whole.is_empty() {
        fraction.trim_start_matches('0')
    } else {
        fraction
    });
    let written = out.len();
    let kept = out.trim_end_matches('0').len().max(digits);
    out.truncate(kept);
    if kept == digits {
        out.truncate(start);
        out.push('0');
        return;
    }
    // Both are lengths of text in memory, so neither comes near the type's bounds.
    let zeros = i64::try_from(written.saturating_sub(kept)).unwrap_or(i64::MAX);
    let places = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    write_exponent(exponent, zeros.saturating_sub(places), out);
}

/// Appends `e` and the sum of `exponent` and `shift`, or nothing if that is 0.
fn write_exponent(exponent: &str, shift: i64, out: &mut String) {
    let (negative, digits) = match exponent.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, exponent.strip_prefix('+').unwrap_or(exponent)),
    };
    let digits = digits.trim_start_matches('0');
    let cut = digits.len().saturating_sub(DIGITS);
    let (head, tail) = digits.split_at_checked(cut).unwrap_or(("", digits));
    let tail: i64 = tail.parse().unwrap_or(0);
    // Writing to a String does not fail.
    if head.is_empty() {
        let value = if negative {
            tail.saturating_neg()
        } else {
            tail
        }
        .saturating_add(shift);
        if value != 0 {
            let _ = write!(out, "e{value}");
        }
        return;
    }
    // The magnitude is at least 10^18 and the shift is smaller: the sign stays.
    let tail = tail.saturating_add(if negative {
        shift.saturating_neg()
    } else {
        shift
    });
    let mut head = head.to_owned();
    if tail >= BASE {
        head = stepped(&head, b'9', b'0', 1);
    } else if tail < 0 {
        head = stepped(&head, b'0', b'9', -1);
    }
    let magnitude = format!("{head}{:018}", tail.rem_euclid(BASE));
    let sign = if negative { "-" } else { "" };
    let _ = write!(out, "e{sign}{}", magnitude.trim_start_matches('0'));
}

/// The decimal `digits` plus or minus one (`by`): the digits `over` at the end turn to `reset`.
fn stepped(digits: &str, over: u8, reset: u8, by: i8) -> String {
    let kept = digits.trim_end_matches(char::from(over));
    let mut result = String::with_capacity(digits.len().saturating_add(1));
    let mut bytes = kept.bytes();
    match bytes.next_back() {
        Some(last) => {
            result.extend(bytes.map(char::from));
            result.push(char::from(last.wrapping_add_signed(by)));
        }
        // All nines: a further digit. (All zeros does not come: the head begins with another.)
        None => result.push('1'),
    }
    result.extend(std::iter::repeat_n(
        char::from(reset),
        digits.len().saturating_sub(kept.len()),
    ));
    result
}

/// A number in the form of [`canonical`], for people: without an exponent where it is short so.
pub(in super::super) fn readable(canonical: &str) -> String {
    let short = || {
        let (digits, exponent) = canonical.split_once('e')?;
        let exponent: isize = exponent.parse().ok()?;
        if (0..=15).contains(&exponent) {
            return Some(format!("{digits}{}", "0".repeat(exponent.unsigned_abs())));
        }
        let (sign, digits) = match digits.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", digits),
        };
        let places = exponent.unsigned_abs();
        if exponent > 0 || places > digits.len().saturating_add(6) {
            return None;
        }
        let padded = format!("{digits:0>width$}", width = places.saturating_add(1));
        let point = padded.len().saturating_sub(places);
        let (whole, fraction) = padded.split_at_checked(point)?;
        Some(format!("{sign}{whole}.{fraction}"))
    };
    short().unwrap_or_else(|| canonical.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{canonical, readable};
    use proptest::prelude::*;

    fn of(number: &str) -> String {
        let mut out = String::new();
        canonical(number, &mut out);
        out
    }

    #[test]
    fn each_value_has_one_form() {
        for (form, numbers) in [
            (
                "0",
                &["0", "-0", "0.00", "0e5", "-0.0E-999999999999999999999"][..],
            ),
            ("1", &["1", "1.0", "10e-1", "0.1e1", "1E+0", "1e-0"]),
            ("-12e2", &["-1200", "-1.2e3", "-0.0012E6", "-12E+02"]),
            (
                "1e1000000000",
                &["1e1000000000", "10E+999999999", "0.001e1000000003"],
            ),
            (
                "9007199254740993",
                &["9007199254740993", "9007199254740993.0"],
            ),
            (
                "1e1000000000000000000",
                &["10e999999999999999999", "1e1000000000000000000"],
            ),
            (
                "1e999999999999999999",
                &["0.1e1000000000000000000", "1e999999999999999999"],
            ),
            (
                "1e-1000000000000000000",
                &["0.1e-999999999999999999", "0.01e-999999999999999998"],
            ),
            ("1e-999999999999999999", &["10e-1000000000000000000"]),
            (
                "1e9999999999999999999999",
                &["0.1e10000000000000000000000", "1e009999999999999999999999"],
            ),
            ("1e10000000000000000000000", &["10e9999999999999999999999"]),
        ] {
            for number in numbers {
                assert_eq!(of(number), form, "{number}");
            }
        }
    }

    #[test]
    fn an_exponent_is_never_expanded() {
        let long = format!("1e{}", "9".repeat(1_000_000));
        assert_eq!(of(&long), long);
    }

    #[test]
    fn people_read_short_numbers_without_an_exponent() {
        for number in [
            "0", "1", "-12000", "19.9", "-0.001", "1e400", "123.456", "-5",
        ] {
            assert_eq!(readable(&of(number)), number);
        }
    }

    proptest! {
        #[test]
        fn the_form_is_as_equal_as_the_value(
            a in -9_999_i64..9_999, b in -9_999_i64..9_999, shift_a in 0_u32..6, shift_b in 0_u32..6
        ) {
            // a / 10^shift_a against b / 10^shift_b, exactly.
            let same = a * 10_i64.pow(shift_b) == b * 10_i64.pow(shift_a);
            let a = of(&format!("{a}e-{shift_a}"));
            let b = of(&format!("{b}.000E-{shift_b}"));
            prop_assert_eq!(a == b, same);
        }

        #[test]
        fn a_longer_mantissa_takes_a_smaller_exponent(
            exponent in -2_000_000_000_000_000_000_i128..2_000_000_000_000_000_000, zeros in 0_usize..30
        ) {
            let shifted = exponent - zeros as i128;
            let padded = format!("7{}e{shifted}", "0".repeat(zeros));
            prop_assert_eq!(of(&padded), of(&format!("7e{exponent}")));
        }
    }
}
