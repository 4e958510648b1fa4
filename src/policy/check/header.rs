//! Headers that a policy sets.

use crate::assign::carry::OWN_PREFIX;
use crate::policy::decode::{Decode, Pairs};
use crate::policy::problem::Problems;
use crate::policy::tree::{Node, Value};
use crate::policy::value::{HeaderName, HeaderValue};

/// Headers set at one place; each costs a host call on every request that it is set on.
const MOST_HEADERS: usize = 32;

/// Headers that the proxy itself owns: setting one would break the message. `upgrade` may be set:
/// an answer with status 426 must have it (RFC 9110, part 15.5.22).
const PROXYS_OWN: [&str; 5] = [
    "connection",
    "content-length",
    "host",
    "te",
    "transfer-encoding",
];

/// The headers of `key`, with names in lower case.
pub fn headers(key: &str, pairs: Option<&Pairs>, problems: &mut Problems) -> Vec<(String, String)> {
    let Some(pairs) = pairs else {
        return Vec::new();
    };
    problems.at_key(key, |problems| {
        super::at_most(MOST_HEADERS, pairs.0.len(), problems);
        let mut headers: Vec<(String, String)> = Vec::with_capacity(pairs.0.len());
        for (name, value) in &pairs.0 {
            let header = problems.at_key(name, |problems| header(name, value, problems));
            let Some((name, value)) = header else {
                continue;
            };
            if headers.iter().any(|(other, _)| *other == name) {
                problems.say(format!("`{name}` is there twice"), "keep one of them");
            }
            headers.push((name, value));
        }
        headers
    })
}

fn header(name: &str, value: &str, problems: &mut Problems) -> Option<(String, String)> {
    let read = |text: &str| Node {
        line: 0,
        value: Value::Text(text.to_owned()),
    };
    let value = HeaderValue::decode(&read(value), problems);
    if name.starts_with(':') {
        problems.say(
            "a pseudo-header can't be set here",
            "`rewritePath` sets the path",
        );
        return None;
    }
    let name = HeaderName::decode(&read(name), problems)?.0;
    if name.as_bytes().starts_with(OWN_PREFIX) {
        problems.say("headers of this name are the filter's own", "another name");
    }
    if PROXYS_OWN.contains(&name.as_str()) {
        problems.say("this header is the proxy's own", "leave it out");
    }
    if name == "baggage" {
        problems.say(
            "it holds what others put there, flags and variants too",
            "`report: {baggage: true}`, or another name",
        );
    }
    Some((name, value?.0))
}
