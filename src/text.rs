//! Text of others in lines of ours.

/// At most `most` characters of `text`, without any that breaks a line or moves a cursor: control
/// characters are escaped as Rust does. All others are shown, so that names stay readable whatever
/// their alphabet.
pub fn printable(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for character in text.chars().take(most) {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Parts per million in percent: four decimals hold every part, so nothing is rounded.
pub fn percent(parts: u32) -> String {
    let (whole, decimals) = (parts / 10_000, parts % 10_000);
    if decimals == 0 {
        return format!("{whole}%");
    }
    let decimals = format!("{decimals:04}");
    format!("{whole}.{}%", decimals.trim_end_matches('0'))
}

/// A number as JSON has it, without a fraction of nothing.
///
/// Never by `{}` of an `f64`, in all that goes into the filter: the standard library's way of it is
/// 16 kB, and JSON's has to be there anyway.
pub fn number(value: f64) -> String {
    let Some(number) = serde_json::Number::from_f64(value) else {
        return "beyond all numbers".to_owned();
    };
    let mut text = number.to_string();
    if text.ends_with(".0") {
        text.truncate(text.len().saturating_sub(2));
    }
    text
}

/// These texts as one. The standard library's `concat` for it is half a kilobyte of the filter.
pub fn joined(parts: &[&str]) -> String {
    let mut text = String::new();
    parts.iter().for_each(|part| text.push_str(part));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_all_others_shown() {
        assert_eq!(
            printable("a\r\n\0\u{9b}ä\"漢", 9),
            "a\\r\\n\\u{0}\\u{9b}ä\"漢"
        );
        assert_eq!(printable("abc", 2), "ab");
    }

    #[test]
    fn a_number_is_written_as_json_has_it() {
        for (value, text) in [
            (0.25, "0.25"),
            (-3.0, "-3"),
            (1e300, "1e+300"),
            (f64::NAN, "beyond all numbers"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_share_is_written_as_people_do() {
        for (ppm, text) in [
            (0, "0%"),
            (1, "0.0001%"),
            (12_500, "1.25%"),
            (50_000, "5%"),
            (1_000_000, "100%"),
            (1_500_100, "150.01%"),
        ] {
            assert_eq!(percent(ppm), text);
        }
    }
}
