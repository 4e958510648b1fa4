//! Conditions: one subject, one test, patterns compiled.

use crate::assign::condition::{Condition, LARGEST_PATTERN, NumberRange, Subject, Test};
use crate::policy::decode::{List, listed, quoted};
use crate::policy::problem::Problems;
use crate::policy::raw;
use regex_lite::{Regex, RegexBuilder};
use semver::VersionReq;

/// Conditions of one list, and values of one `in` or `cidr`.
const MOST_CONDITIONS: usize = 32;
const MOST_VALUES: usize = 1000;

/// The nesting of groups in a pattern; deeper ones are refused by the library.
const DEEPEST_PATTERN: u32 = 32;

/// The header that holds a token unless the policy names another.
pub const TOKEN_HEADER: &str = "authorization";

const SUBJECTS: [&str; 8] = [
    "header", "cookie", "query", "path", "host", "method", "jwtClaim", "clientIp",
];
const TESTS: [&str; 10] = [
    "exact", "prefix", "suffix", "contains", "regex", "in", "present", "semver", "number", "cidr",
];

/// Conditions where at least one is wanted: without any, everybody would pass.
pub fn some_conditions(
    key: &str,
    list: &List<raw::Condition>,
    problems: &mut Problems,
) -> Vec<Condition> {
    if list.0.is_empty() && !problems.said_below(key) {
        problems.at_key(key, |problems| {
            problems.say(
                "it has no conditions, so it would hold for everybody",
                "a condition",
            );
        });
    }
    conditions(key, list, problems)
}

/// The conditions of `key`.
pub fn conditions(
    key: &str,
    list: &List<raw::Condition>,
    problems: &mut Problems,
) -> Vec<Condition> {
    problems.at_key(key, |problems| {
        super::at_most(MOST_CONDITIONS, list.0.len(), problems);
        let condition = |(index, raw): &(usize, raw::Condition)| {
            problems.at_index(*index, |problems| condition(raw, problems))
        };
        list.0.iter().filter_map(condition).collect()
    })
}

fn condition(raw: &raw::Condition, problems: &mut Problems) -> Option<Condition> {
    let subject = subject(raw, problems);
    let tests = Tests {
        exact: raw.exact.as_ref().map(|text| &text.0),
        prefix: raw.prefix.as_ref().map(|text| &text.0),
        suffix: raw.suffix.as_ref().map(|text| &text.0),
        contains: raw.contains.as_ref().map(|text| &text.0),
        regex: raw.regex.as_ref().map(|text| &text.0),
        one_of: raw.one_of.as_deref(),
        present: raw.present,
        semver: raw.semver.as_ref().map(|text| &text.0),
        number: raw.number.as_ref().map(|text| &text.0),
        cidr: raw.cidr.as_deref(),
    };
    let test = tests.only(&TESTS, problems);
    let (subject, test) = (subject?, test?);
    fits(&subject, &test, problems);
    Some(Condition {
        subject,
        test,
        not: raw.not.unwrap_or(false),
    })
}

/// Says of a test that can never pass, or never fail, for its subject.
fn fits(subject: &Subject, test: &Test, problems: &mut Problems) {
    let write = match (subject, test) {
        (Subject::ClientIp, Test::Cidr(_)) => return,
        (Subject::ClientIp, _) => "`cidr`, with a range or a lone address",
        (Subject::Path | Subject::Host | Subject::Method, Test::Present(_)) => "another test",
        (Subject::Path | Subject::Host | Subject::Method, Test::Cidr(_)) => "`clientIp: {}`",
        (Subject::Host, Test::Exact(text)) if text.contains(':') => "the host without its port",
        (Subject::Host, Test::Exact(text)) if text.to_ascii_lowercase() != *text => {
            "the host in lower case"
        }
        _ => return,
    };
    problems.say("this test makes no sense for this subject", write);
}

fn subject(raw: &raw::Condition, problems: &mut Problems) -> Option<Subject> {
    let header = raw.header.as_ref().map(|name| name.0.clone());
    let mut subjects = Vec::new();
    if let Some(claim) = &raw.jwt_claim {
        subjects.push(Subject::JwtClaim {
            claim: claim.0.clone(),
            header: header.unwrap_or_else(|| TOKEN_HEADER.to_owned()),
        });
    } else {
        subjects.extend(header.map(Subject::Header));
    }
    subjects.extend(
        raw.cookie
            .as_ref()
            .map(|name| Subject::Cookie(name.0.clone())),
    );
    subjects.extend(
        raw.query
            .as_ref()
            .map(|name| Subject::Query(name.0.clone())),
    );
    subjects.extend(raw.path.map(|_| Subject::Path));
    subjects.extend(raw.host.map(|_| Subject::Host));
    subjects.extend(raw.method.map(|_| Subject::Method));
    subjects.extend(raw.client_ip.map(|_| Subject::ClientIp));
    if subjects.is_empty() && SUBJECTS.iter().any(|key| problems.said_below(key)) {
        return None;
    }
    only("subject", subjects, &SUBJECTS, problems)
}

/// The one element of `found`, or a problem that lists what could stand there.
fn only<T>(what: &str, found: Vec<T>, known: &[&str], problems: &mut Problems) -> Option<T> {
    let count = found.len();
    let mut found = found.into_iter();
    match (found.next(), count) {
        (Some(one), 1) => Some(one),
        (None, _) => {
            problems.say(
                format!("it has no {what}"),
                format!("one of {}", listed(known)),
            );
            None
        }
        _ => {
            problems.say(
                format!("it has {count} {what}s"),
                format!(
                    "only one of {}; several conditions for several",
                    listed(known)
                ),
            );
            None
        }
    }
}

/// The tests that a condition may have, as written.
#[derive(Default)]
pub struct Tests<'r> {
    /// `exact`.
    pub exact: Option<&'r String>,
    /// `prefix`.
    pub prefix: Option<&'r String>,
    /// `suffix`.
    pub suffix: Option<&'r String>,
    /// `contains`.
    pub contains: Option<&'r String>,
    /// `regex`.
    pub regex: Option<&'r String>,
    /// `in`.
    pub one_of: Option<&'r [crate::policy::value::Text]>,
    /// `present`.
    pub present: Option<bool>,
    /// `semver`.
    pub semver: Option<&'r String>,
    /// `number`.
    pub number: Option<&'r String>,
    /// `cidr`.
    pub cidr: Option<&'r [crate::policy::value::Cidr]>,
}

impl Tests<'_> {
    /// The one test that is there, or a problem that lists `known`.
    pub fn only(&self, known: &[&str], problems: &mut Problems) -> Option<Test> {
        let before = problems.count();
        let mut tests = Vec::new();
        tests.extend(self.exact.cloned().map(Test::Exact));
        tests.extend(self.prefix.cloned().map(Test::Prefix));
        tests.extend(self.suffix.cloned().map(Test::Suffix));
        tests.extend(self.contains.cloned().map(Test::Contains));
        tests.extend(self.regex.and_then(|text| {
            problems
                .at_key("regex", |problems| pattern(text, problems))
                .map(Test::Regex)
        }));
        tests.extend(self.present.map(Test::Present));
        tests.extend(
            self.semver
                .and_then(|text| range_of_versions(text, problems)),
        );
        tests.extend(
            self.number
                .and_then(|text| range_of_numbers(text, problems)),
        );
        if let Some(texts) = self.one_of {
            some_values("in", texts.len(), problems);
            tests.push(Test::In(texts.iter().map(|text| text.0.clone()).collect()));
        }
        if let Some(ranges) = self.cidr {
            some_values("cidr", ranges.len(), problems);
            tests.push(Test::Cidr(ranges.iter().map(|range| range.0).collect()));
        }
        let broken = problems.count() > before || known.iter().any(|key| problems.said_below(key));
        if broken && tests.is_empty() {
            return None;
        }
        only("test", tests, known, problems)
    }
}

fn some_values(key: &str, count: usize, problems: &mut Problems) {
    problems.at_key(key, |problems| {
        if count == 0 {
            problems.say("it is empty, so it would never hold", "at least one value");
        }
        super::at_most(MOST_VALUES, count, problems);
    });
}

fn range_of_versions(text: &str, problems: &mut Problems) -> Option<Test> {
    match VersionReq::parse(text) {
        Ok(range) => Some(Test::Semver(range)),
        Err(error) => {
            problems.at_key("semver", |problems| {
                problems.say(
                    format!("{} is not a range of versions: {error}", quoted(text)),
                    "a range such as \">=1.2.0, <2\"",
                );
            });
            None
        }
    }
}

fn range_of_numbers(text: &str, problems: &mut Problems) -> Option<Test> {
    let range = NumberRange::read(text);
    if range.is_none() {
        problems.at_key("number", |problems| {
            problems.say(
                format!("{} is not a range of numbers", quoted(text)),
                "a range such as \">=10, <20\"",
            );
        });
    }
    range.map(Test::Number)
}

/// Compiles `text` to match whole values; refuses what is too costly to run on every request.
pub fn pattern(text: &str, problems: &mut Problems) -> Option<Regex> {
    let build = |pattern: &str| {
        RegexBuilder::new(pattern)
            .size_limit(LARGEST_PATTERN)
            .nest_limit(DEEPEST_PATTERN)
            .build()
    };
    // Alone first: `a)(b` would compile once the whole is put in a group.
    match build(text).and_then(|_| build(&format!("^(?:{text})$"))) {
        Ok(regex) => {
            // The first use makes the library's working memory: not on a request's time.
            regex.is_match("");
            Some(regex)
        }
        Err(error) if error.to_string().contains("size limit") => {
            problems.say(
                format!(
                    "{} is too costly: compiled it has more than {LARGEST_PATTERN} bytes",
                    quoted(text)
                ),
                "a shorter pattern with smaller repeats, or `in`, `prefix`, `contains`",
            );
            None
        }
        Err(error) => {
            problems.say(
                format!("{} does not compile: {error}", quoted(text)),
                "a regular expression without look-around and back-references",
            );
            None
        }
    }
}
