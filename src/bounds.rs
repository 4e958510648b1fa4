//! A number kept between two others.
//!
//! `f64::clamp` panics where the bounds are the wrong way round, and what it would say then brings
//! the standard library's printing of floating point numbers along: 17 kB of the filter. `clippy.toml`
//! keeps it out.

/// `value`, but at least `least` and at most `most`; what is no number stays so. If the bounds are the
/// wrong way round, `least` goes before.
pub fn within(value: f64, least: f64, most: f64) -> f64 {
    if value < least {
        least
    } else if value > most {
        least.max(most)
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stays_within_its_bounds() {
        for (value, least, most, kept) in [
            (0.5, 0.0, 1.0, 0.5),
            (-1.0, 0.0, 1.0, 0.0),
            (f64::INFINITY, 0.0, 1.0, 1.0),
            (3.0, 2.0, 1.0, 2.0),
            (1.5, 2.0, 1.0, 2.0),
        ] {
            assert_eq!(within(value, least, most).to_bits(), f64::to_bits(kept));
        }
        assert!(within(f64::NAN, 0.0, 1.0).is_nan());
    }
}
