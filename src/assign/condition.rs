//! Conditions: one subject of a request and one test of it.
//!
//! A subject that is absent passes no test but `present: false`; `not` turns the result round after
//! that, so `{header: x, exact: a, not: true}` holds for a request without `x`. A header that is
//! there on several lines passes if one line does, and a cookie that is there twice likewise.
//!
//! All patterns are compiled when the policy is read. A regular expression runs in time linear in
//! the value for a given pattern (regex-lite simulates the automaton), and both factors are
//! bounded: the pattern by [`LARGEST_PATTERN`], the value by [`LONGEST_MATCHED`].

use super::read;
use crate::request::{Request, address};
use ipnet::IpNet;
use regex_lite::Regex;
use semver::{Version, VersionReq};

/// The longest value that a regular expression is run on, in bytes. Longer ones never match; no
/// header that is routed on is that long. The time is linear in the value: the worst pattern that
/// was found within [`LARGEST_PATTERN`], `.*a.{163}b`, took 3.7 ms natively on a value of this
/// length, and no caller can choose the pattern.
pub const LONGEST_MATCHED: usize = 2048;

/// The largest compiled pattern, in bytes; a UUID's takes a quarter of it.
pub const LARGEST_PATTERN: usize = 8 * 1024;

/// A condition.
#[derive(Debug, Clone)]
pub struct Condition {
    /// What is looked at.
    pub subject: Subject,
    /// What is asked of it.
    pub test: Test,
    /// Whether the result is turned round.
    pub not: bool,
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A header, by its name in lower case.
    Header(String),
    /// A cookie, by name.
    Cookie(String),
    /// A parameter of the query, by name.
    Query(String),
    /// The path without the query.
    Path,
    /// The host in lower case, without its port.
    Host,
    /// The method.
    Method,
    /// A claim of the token in a header.
    JwtClaim {
        /// The claim.
        claim: String,
        /// The header, in lower case.
        header: String,
    },
    /// The caller's address.
    ClientIp,
}

/// What is asked of a value.
#[derive(Debug, Clone)]
pub enum Test {
    /// Equal.
    Exact(String),
    /// Begins with.
    Prefix(String),
    /// Ends with.
    Suffix(String),
    /// Has within.
    Contains(String),
    /// Matches as a whole.
    Regex(Regex),
    /// Equal to one of these.
    In(Vec<String>),
    /// Is there, or is not.
    Present(bool),
    /// A version in this range.
    Semver(VersionReq),
    /// A number in this range.
    Number(NumberRange),
    /// An address in one of these ranges.
    Cidr(Vec<IpNet>),
}

impl Condition {
    /// Whether it holds for `request`.
    pub fn holds(&self, request: &Request<'_>) -> bool {
        let passes = match &self.test {
            Test::Present(wanted) => {
                let mut there = false;
                self.subject.any(request, |_| {
                    there = true;
                    true
                });
                there == *wanted
            }
            test => self.subject.any(request, |value| test.passes(value)),
        };
        passes != self.not
    }
}

/// Whether all of `conditions` hold; true for none.
pub fn all_hold(conditions: &[Condition], request: &Request<'_>) -> bool {
    conditions.iter().all(|condition| condition.holds(request))
}

impl Subject {
    /// Whether one of the subject's values satisfies `test`; false if it has none.
    fn any(&self, request: &Request<'_>, mut test: impl FnMut(&[u8]) -> bool) -> bool {
        match self {
            Self::Header(name) => request.header(name).any(test),
            Self::Cookie(name) => read::cookie::all(request, name).any(test),
            Self::Query(name) => {
                read::query::parameter(request, name).is_some_and(|value| test(&value))
            }
            Self::Path => test(request.path()),
            Self::Host => test(request.host()),
            Self::Method => test(request.method()),
            Self::JwtClaim { claim, header } => request
                .header(header)
                .find_map(|line| read::jwt::claim(line, claim))
                .is_some_and(|value| test(value.as_bytes())),
            Self::ClientIp => request
                .source()
                .is_some_and(|address| test(address.to_string().as_bytes())),
        }
    }
}

impl Test {
    /// Whether `value` passes.
    pub fn passes(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => value == text.as_bytes(),
            Self::Prefix(text) => value.starts_with(text.as_bytes()),
            Self::Suffix(text) => value.ends_with(text.as_bytes()),
            Self::Contains(text) => contains(value, text.as_bytes()),
            Self::Regex(regex) => matches(regex, value),
            Self::In(texts) => texts.iter().any(|text| value == text.as_bytes()),
            Self::Present(wanted) => *wanted,
            Self::Semver(range) => version(value).is_some_and(|version| range.matches(&version)),
            Self::Number(range) => number(value).is_some_and(|number| range.has(number)),
            Self::Cidr(ranges) => address(value)
                .is_some_and(|address| ranges.iter().any(|range| range.contains(&address))),
        }
    }
}

/// Whether the whole of `value` matches; see [`LONGEST_MATCHED`].
pub fn matches(regex: &Regex, value: &[u8]) -> bool {
    value.len() <= LONGEST_MATCHED
        && std::str::from_utf8(value).is_ok_and(|value| regex.is_match(value))
}

fn contains(value: &[u8], text: &[u8]) -> bool {
    text.is_empty() || value.windows(text.len()).any(|window| window == text)
}

/// Reads a version as clients send it: `v1.2` is 1.2.0. Build data and pre-releases are kept.
fn version(value: &[u8]) -> Option<Version> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    if let Ok(version) = Version::parse(text) {
        return Some(version);
    }
    let numbers = text.split(['-', '+']).next()?;
    let missing = match numbers.split('.').count() {
        1 => ".0.0",
        2 => ".0",
        _ => return None,
    };
    let rest = text.get(numbers.len()..)?;
    Version::parse(&format!("{numbers}{missing}{rest}")).ok()
}

fn number(value: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(value).ok()?.trim();
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Bounds of a number; all must be kept. Compared as doubles: exact up to 2^53.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberRange(Vec<(Bound, f64)>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    AtLeast,
    AtMost,
    Above,
    Below,
    Equal,
    Other,
}

impl NumberRange {
    /// Reads `>=10, <20`; `None` if it is not of that form.
    pub fn read(text: &str) -> Option<Self> {
        const BOUNDS: [(&str, Bound); 6] = [
            (">=", Bound::AtLeast),
            ("<=", Bound::AtMost),
            ("!=", Bound::Other),
            (">", Bound::Above),
            ("<", Bound::Below),
            ("=", Bound::Equal),
        ];
        let bound = |part: &str| {
            let part = part.trim();
            let (bound, rest) = BOUNDS
                .iter()
                .find_map(|(sign, bound)| part.strip_prefix(sign).map(|rest| (*bound, rest)))
                .unwrap_or((Bound::Equal, part));
            number(rest.as_bytes()).map(|number| (bound, number))
        };
        text.split(',').map(bound).collect::<Option<_>>().map(Self)
    }

    fn has(&self, number: f64) -> bool {
        self.0.iter().all(|(bound, of)| match bound {
            Bound::AtLeast => number >= *of,
            Bound::AtMost => number <= *of,
            Bound::Above => number > *of,
            Bound::Below => number < *of,
            #[allow(clippy::float_cmp)]
            Bound::Equal => number == *of,
            #[allow(clippy::float_cmp)]
            Bound::Other => number != *of,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assign::testing::{condition, with_request};

    #[test]
    fn each_test_passes_what_it_names_and_nothing_else() {
        let table = [
            (r#"{"header":"x","exact":"ab"}"#, "ab", "abc"),
            (r#"{"header":"x","exact":""}"#, "", "a"),
            (r#"{"header":"x","prefix":"ab"}"#, "abc", "cab"),
            (r#"{"header":"x","suffix":"bc"}"#, "abc", "bca"),
            (r#"{"header":"x","contains":"b"}"#, "abc", "ac"),
            (r#"{"header":"x","regex":"a+b?"}"#, "aab", "xaab"),
            (r#"{"header":"x","regex":"a|ab"}"#, "ab", "abb"),
            (r#"{"header":"x","in":["a","b"]}"#, "b", "c"),
            (r#"{"header":"x","semver":">=1.2, <2"}"#, "v1.2", "2.0.0"),
            (r#"{"header":"x","semver":">=1.2, <2"}"#, "1.10.3", "1.1.9"),
            (r#"{"header":"x","semver":">=1"}"#, "1", "one"),
            (
                r#"{"header":"x","semver":">=1"}"#,
                "1.0.0+build",
                "1.0.0-rc.1",
            ),
            (r#"{"header":"x","number":">=10, <20"}"#, "10", "20"),
            (r#"{"header":"x","number":"7"}"#, "7.0", "nan"),
            (r#"{"header":"x","number":"!=7"}"#, "8", "inf"),
            (
                r#"{"header":"x","cidr":["10.0.0.0/8"]}"#,
                "10.1.2.3",
                "11.0.0.1",
            ),
            (r#"{"header":"x","cidr":["::1"]}"#, "[::1]:80", "::2"),
            (r#"{"header":"x","exact":"a","not":true}"#, "b", "a"),
        ];
        for (json, passing, failing) in table {
            let condition = condition(json);
            let holds =
                |value: &str| with_request("GET", "/", &[("x", value)], |r| condition.holds(r));
            assert!(holds(passing), "{json} of {passing}");
            assert!(!holds(failing), "{json} of {failing}");
        }
    }

    #[test]
    fn each_subject_is_found() {
        let headers = [
            ("x-a", "1"),
            ("cookie", "a=1; b=2"),
            (":authority", "Shop.Example.com:8080"),
            ("authorization", "Bearer e30.eyJzdWIiOiJhbm5hIn0.x"),
        ];
        for json in [
            r#"{"header":"X-A","exact":"1"}"#,
            r#"{"cookie":"b","exact":"2"}"#,
            r#"{"query":"q","exact":"a b"}"#,
            r#"{"path":{},"exact":"/p"}"#,
            r#"{"host":{},"exact":"shop.example.com"}"#,
            r#"{"method":{},"exact":"GET"}"#,
            r#"{"jwtClaim":"sub","exact":"anna"}"#,
            r#"{"clientIp":{},"cidr":["192.0.2.0/24"]}"#,
        ] {
            let condition = condition(json);
            assert!(
                with_request("GET", "/p?q=a%20b", &headers, |r| condition.holds(r)),
                "{json}"
            );
        }
    }

    #[test]
    fn what_is_absent_passes_nothing_but_its_absence() {
        for (json, holds) in [
            (r#"{"header":"x","exact":""}"#, false),
            (r#"{"header":"x","present":true}"#, false),
            (r#"{"header":"x","present":false}"#, true),
            (r#"{"header":"x","exact":"a","not":true}"#, true),
            (r#"{"cookie":"x","present":false}"#, true),
            (r#"{"query":"x","present":true,"not":true}"#, true),
            (r#"{"jwtClaim":"x","present":true}"#, false),
        ] {
            let condition = condition(json);
            assert_eq!(
                with_request("GET", "/", &[], |r| condition.holds(r)),
                holds,
                "{json}"
            );
        }
    }

    #[test]
    fn one_of_several_lines_is_enough() {
        let headers = [("x", "a"), ("x", "b")];
        let holds = |json| with_request("GET", "/", &headers, |r| condition(json).holds(r));
        assert!(holds(r#"{"header":"x","exact":"b"}"#));
        assert!(!holds(r#"{"header":"x","exact":"b","not":true}"#));
    }

    #[test]
    fn long_values_and_bytes_that_are_no_text_never_match_a_regex() {
        let regex = Regex::new("^(?:.*)$").unwrap();
        assert!(matches(&regex, &vec![b'a'; LONGEST_MATCHED]));
        assert!(!matches(&regex, &vec![b'a'; LONGEST_MATCHED + 1]));
        assert!(!matches(&regex, b"\xff"));
    }
}
