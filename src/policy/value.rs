//! The forms of text that a policy is written in: shares, times, names, patterns.
//!
//! Each reader gives the value or (what is wrong, what to write). Limits are those of what the
//! value is used for and are said beside it.

use super::decode::{leaf, quoted};
use crate::assign::carry::is_value;
use ipnet::IpNet;
use std::net::IpAddr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

type Read<T> = Result<T, (String, String)>;

/// Parts per million in one percent: four decimals of a percent are whole parts.
const PPM_PER_PERCENT: u32 = 10_000;

leaf! {
    /// A part of a whole in percent, `"0.01%"`: parts per million inside.
    pub struct Percent(u32) = percent,
    {"type": "string", "pattern": "^(100(\\.0{1,4})?|\\d{1,2}(\\.\\d{1,4})?)%$", "examples": ["1%", "0.25%"]}
}

leaf! {
    /// A length of time, `"2m"`, `"1h30m"`: milliseconds inside.
    pub struct Period(u64) = period,
    {"type": "string", "pattern": "^(\\d+(ms|s|m|h|d))+$", "examples": ["200ms", "30s", "1h30m", "30d"]}
}

leaf! {
    /// A moment as RFC 3339 has it: milliseconds since 1970 inside.
    pub struct Moment(i64) = moment,
    {"type": "string", "format": "date-time", "examples": ["2026-11-21T09:00:00Z"]}
}

leaf! {
    /// A day, `"2027-02-01"`: days since 1970 inside, in UTC.
    pub struct Day(i64) = day,
    {"type": "string", "format": "date", "examples": ["2027-02-01"]}
}

leaf! {
    /// A name that is safe as a metric label, a header value and a baggage member.
    pub struct Name(String) = name,
    {"type": "string", "pattern": "^[a-z0-9_-]{1,40}$"}
}

leaf! {
    /// A value of a flag, safe as a metric label and in a header.
    pub struct FlagText(String) = flag_text,
    {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,40}$", "examples": ["on", "off", "v2"]}
}

leaf! {
    /// The name of a header, in lower case inside.
    pub struct HeaderName(String) = header_name,
    {"type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$"}
}

leaf! {
    /// A cookie's name, or another name that callers send: not empty, at most 256 bytes.
    pub struct Word(String) = word,
    {"type": "string", "minLength": 1, "maxLength": 256}
}

leaf! {
    /// The name of a cookie.
    pub struct CookieName(String) = cookie_name,
    {"type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$"}
}

leaf! {
    /// A path, or the beginning of one.
    pub struct PathText(String) = path_text,
    {"type": "string", "pattern": "^/", "maxLength": 4096}
}

leaf! {
    /// A host, `shop.example.com`, or all below one, `*.shop.example.com`; in lower case inside.
    pub struct HostPattern(String) = host_pattern,
    {"type": "string", "pattern": "^(\\*|(\\*\\.)?[A-Za-z0-9_.-]+|\\[[0-9a-fA-F:.]+\\])$"}
}

leaf! {
    /// A method, in capitals.
    pub struct Method(String) = method,
    {"type": "string", "pattern": "^[A-Z][A-Z0-9_-]{0,31}$", "examples": ["GET", "POST"]}
}

leaf! {
    /// A range of addresses, `"10.0.0.0/8"`; a lone address is a range of one.
    pub struct Cidr(IpNet) = cidr,
    {"type": "string", "examples": ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]}
}

leaf! {
    /// A status, `"503"`, or all of one class, `"5xx"`: the lowest and the highest inside.
    pub struct Statuses((u16, u16)) = statuses,
    {"type": "string", "pattern": "^[1-5](xx|\\d\\d)$", "examples": ["5xx", "429"]}
}

leaf! {
    /// Text that is compared with what a caller sent; at most 4096 bytes.
    pub struct Text(String) = plain,
    {"type": "string", "maxLength": 4096}
}

leaf! {
    /// Text to compare with that is not empty; at most 4096 bytes.
    pub struct SomeText(String) = some_text,
    {"type": "string", "minLength": 1, "maxLength": 4096}
}

leaf! {
    /// The value of a header.
    pub struct HeaderValue(String) = header_value,
    {"type": "string", "pattern": "^[^\\u0000-\\u0008\\u000a-\\u001f\\u007f]*$", "maxLength": 4096}
}

fn wrong<T>(text: &str, what: &str, write: &str) -> Read<T> {
    Err((format!("{} {what}", quoted(text)), write.to_owned()))
}

fn percent(text: &str) -> Read<u32> {
    percentage(text, 100)
}

/// Reads a percentage of at most `most` percent, which is at most 4,000; parts per million.
///
/// # Errors
/// What is wrong, and what to write.
pub fn percentage(text: &str, most: u32) -> Read<u32> {
    let write =
        format!("a percentage from 0% to {most}% with at most four decimals, as in \"0.25%\"");
    let write = write.as_str();
    let Some(number) = text.strip_suffix('%') else {
        return wrong(text, "has no % at its end", write);
    };
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) {
        return wrong(text, "is not a percentage", write);
    }
    if decimals.len() > 4 {
        return wrong(text, "has more than four decimals", write);
    }
    let parts = whole.parse::<u32>().ok().and_then(|whole| {
        let decimals = format!("{decimals:0<4}").parse::<u32>().ok()?;
        whole.checked_mul(PPM_PER_PERCENT)?.checked_add(decimals)
    });
    match parts {
        Some(parts) if parts <= most.saturating_mul(PPM_PER_PERCENT) => Ok(parts),
        _ => wrong(text, &format!("is more than {most}%"), write),
    }
}

/// Units of time and their milliseconds; days are the longest, as months have no one length.
const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// A hundred years: longer is a slip of the pen, and sums of two still fit everywhere.
const LONGEST_PERIOD: u64 = 36_525 * 86_400_000;

/// Reads a length of time; milliseconds.
///
/// # Errors
/// What is wrong, and what to write.
pub fn period(text: &str) -> Read<u64> {
    const WRITE: &str = "a length of time such as 200ms, 30s, 10m, 1h30m or 30d";
    let mut rest = text;
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits).unwrap_or((rest, ""));
        let letters = after.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, after) = after.split_at_checked(letters).unwrap_or((after, ""));
        let unit = UNITS.iter().find(|(name, _)| *name == unit);
        let part = number
            .parse::<u64>()
            .ok()
            .zip(unit)
            .and_then(|(number, (_, millis))| number.checked_mul(*millis));
        match part.and_then(|part| sum.checked_add(part)) {
            Some(total) if total <= LONGEST_PERIOD => sum = total,
            Some(_) => return wrong(text, "is more than a hundred years", WRITE),
            None => return wrong(text, "is not a length of time", WRITE),
        }
        rest = after;
    }
    if text.is_empty() {
        return wrong(text, "is not a length of time", WRITE);
    }
    Ok(sum)
}

/// Reads a moment: RFC 3339, with any offset; milliseconds since 1970.
///
/// # Errors
/// What is wrong, and what to write.
pub fn moment(text: &str) -> Read<i64> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok();
    let millis = moment.and_then(|moment| {
        let nanos = moment.unix_timestamp_nanos();
        i64::try_from(nanos.div_euclid(1_000_000)).ok()
    });
    match millis {
        Some(millis) => Ok(millis),
        None => wrong(
            text,
            "is not a moment of RFC 3339",
            "a date, a time and an offset, as in 2026-11-21T09:00:00Z",
        ),
    }
}

fn day(text: &str) -> Read<i64> {
    const DAY: i64 = 86_400_000;
    match moment(&format!("{text}T00:00:00Z")) {
        Ok(millis) => Ok(millis.div_euclid(DAY)),
        Err(_) => wrong(text, "is not a day", "a day, as in 2027-02-01"),
    }
}

/// The longest name: two of them and a reason still fit a metric's name in every back end.
const LONGEST_NAME: usize = 40;

fn name(text: &str) -> Read<String> {
    let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    if !text.is_empty() && text.len() <= LONGEST_NAME && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    wrong(
        text,
        "could not be a metric label",
        "1 to 40 of the characters a-z, 0-9, _ and -",
    )
}

fn flag_text(text: &str) -> Read<String> {
    if is_value(text) {
        return Ok(text.to_owned());
    }
    wrong(
        text,
        "can't be the value of a flag",
        "1 to 40 of the characters A-Z, a-z, 0-9, _ and -",
    )
}

/// Whether `byte` may stand in a token of RFC 9110, part 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn header_name(text: &str) -> Read<String> {
    if text.starts_with(':') {
        return wrong(
            text,
            "is a pseudo-header",
            "`host: {}`, `path: {}` or `method: {}` in a condition",
        );
    }
    if !text.is_empty() && text.len() <= 256 && text.bytes().all(is_token) {
        return Ok(text.to_ascii_lowercase());
    }
    wrong(
        text,
        "is not the name of a header",
        "a name such as x-user-id",
    )
}

fn cookie_name(text: &str) -> Read<String> {
    if !text.is_empty() && text.len() <= 256 && text.bytes().all(is_token) {
        return Ok(text.to_owned());
    }
    wrong(
        text,
        "is not the name of a cookie",
        "a name such as session_id",
    )
}

fn word(text: &str) -> Read<String> {
    if !text.is_empty() && text.len() <= 256 {
        return Ok(text.to_owned());
    }
    wrong(text, "has no or too many characters", "1 to 256 bytes")
}

fn path_text(text: &str) -> Read<String> {
    let fits = |byte: u8| byte > b' ' && byte != 0x7f && byte != b'?' && byte != b'#';
    if text.starts_with('/') && text.len() <= 4096 && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    wrong(
        text,
        "is not a path",
        "a path that begins with / and has no spaces, ? or #",
    )
}

fn host_pattern(text: &str) -> Read<String> {
    let plain = text.strip_prefix("*.").unwrap_or(text);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let bracketed = plain
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
    if text == "*" || bracketed || (!plain.is_empty() && plain.bytes().all(fits)) {
        return Ok(text.to_ascii_lowercase());
    }
    wrong(
        text,
        "is not a host",
        "a host without a port, as in shop.example.com or *.shop.example.com",
    )
}

fn method(text: &str) -> Read<String> {
    let fits =
        |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    if text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.len() <= 32
        && text.bytes().all(fits)
    {
        return Ok(text.to_owned());
    }
    wrong(text, "is not a method", "a method in capitals, as in GET")
}

fn cidr(text: &str) -> Read<IpNet> {
    if let Ok(net) = text.parse::<IpNet>() {
        return Ok(net.trunc());
    }
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => wrong(
            text,
            "is not a range of addresses",
            "a range such as 10.0.0.0/8 or 2001:db8::/32, or one address",
        ),
    }
}

/// Reads a status, or a class of them: the lowest and the highest.
///
/// # Errors
/// What is wrong, and what to write.
pub fn statuses(text: &str) -> Read<(u16, u16)> {
    let class = text
        .strip_suffix("xx")
        .and_then(|class| class.parse::<u16>().ok())
        .filter(|class| (1..=5).contains(class) && text.len() == 3);
    if let Some(low) = class.and_then(|class| class.checked_mul(100)) {
        return Ok((low, low.saturating_add(99)));
    }
    match text.parse::<u16>() {
        Ok(status) if (100..=599).contains(&status) => Ok((status, status)),
        _ => wrong(
            text,
            "is not a status",
            "a status such as 429, or a class such as 5xx",
        ),
    }
}

fn plain(text: &str) -> Read<String> {
    if text.len() <= 4096 {
        return Ok(text.to_owned());
    }
    wrong(text, "has more than 4096 bytes", "less text")
}

fn some_text(text: &str) -> Read<String> {
    if text.is_empty() {
        return Err((
            "it is empty, so it would hold for everything".to_owned(),
            "some text, or `present: true`".to_owned(),
        ));
    }
    plain(text)
}

fn header_value(text: &str) -> Read<String> {
    let fits = |byte: u8| (byte >= b' ' && byte != 0x7f) || byte == b'\t';
    if text.len() <= 4096 && text.bytes().all(fits) && text.trim() == text {
        return Ok(text.to_owned());
    }
    wrong(
        text,
        "is not the value of a header",
        "at most 4096 bytes without control characters or spaces at the ends",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_whole_parts_per_million() {
        for (text, parts) in [
            ("0%", 0),
            ("1%", 10_000),
            ("0.0001%", 1),
            ("33.3333%", 333_333),
            ("100%", 1_000_000),
            ("100.0000%", 1_000_000),
            ("007%", 70_000),
        ] {
            assert_eq!(percent(text), Ok(parts), "{text}");
        }
        for text in [
            "",
            "%",
            "1",
            "1.%",
            ".5%",
            "-1%",
            "+1%",
            "1e1%",
            "100.0001%",
            "0.00001%",
            "99999999999%",
            "1 %",
            "1%%",
            "١%",
        ] {
            assert!(percent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_of_time_add_up_and_nothing_else_is_one() {
        for (text, millis) in [
            ("0s", 0),
            ("200ms", 200),
            ("1h30m", 5_400_000),
            ("30d", 2_592_000_000),
        ] {
            assert_eq!(period(text), Ok(millis), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "1.5h",
            "5w",
            "5M",
            "99999999999999999999s",
            "40000d",
        ] {
            assert!(period(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_take_any_offset() {
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(1000));
        assert_eq!(moment("1970-01-01T01:00:00.5+01:00"), Ok(500));
        assert!(moment("2026-11-21").is_err());
        assert!(moment("2026-11-21T09:00:00").is_err());
        assert_eq!(day("1970-01-02"), Ok(1));
        assert!(day("2027-02-30").is_err());
    }

    #[test]
    fn names_are_metric_labels() {
        assert!(name("checkout-2_b").is_ok());
        for text in ["", "Shop", "a b", "a.b", "a;b", "é", &"a".repeat(41)] {
            assert!(name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn statuses_are_one_or_a_class() {
        assert_eq!(statuses("5xx"), Ok((500, 599)));
        assert_eq!(statuses("429"), Ok((429, 429)));
        for text in ["", "xx", "6xx", "0xx", "5x", "55xx", "600", "99", "ok"] {
            assert!(statuses(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_have_no_port() {
        for text in [
            "shop.example.com",
            "*.Shop.example.com",
            "*",
            "localhost",
            "[::1]",
        ] {
            assert!(host_pattern(text).is_ok(), "{text}");
        }
        for text in ["", "shop:80", "a*b", "*.", "[::1", "http://x"] {
            assert!(host_pattern(text).is_err(), "{text}");
        }
    }
}
