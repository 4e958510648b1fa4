//! The W3C `baggage` header: `key=value;property, key=value`, on one line or on several.
//!
//! Reading takes the first member of a name. Rewriting keeps every other member byte for byte, even
//! one that is malformed: it is not ours.

use super::{pair, trimmed};
use crate::request::Request;
use std::borrow::Cow;

/// The members of all lines, trimmed, empty ones left out.
fn members<'r>(request: &Request<'r>) -> impl Iterator<Item = &'r [u8]> + use<'r> {
    request
        .header("baggage")
        .flat_map(|line| line.split(|byte| *byte == b','))
        .map(trimmed)
        .filter(|member| !member.is_empty())
}

fn split(member: &[u8]) -> Option<(&[u8], &[u8])> {
    let without_properties = member.split(|byte| *byte == b';').next()?;
    pair(without_properties)
}

fn is_named(member: &[u8], name: &str) -> bool {
    let key = member
        .split(|byte| matches!(byte, b'=' | b';'))
        .next()
        .unwrap_or_default();
    trimmed(key) == name.as_bytes()
}

/// The value of the first member named `name`, percent-decoded.
pub fn member<'r>(request: &Request<'r>, name: &str) -> Option<Cow<'r, [u8]>> {
    let (_, value) = members(request)
        .filter_map(split)
        .find(|(key, _)| *key == name.as_bytes())?;
    Some(percent_encoding::percent_decode(value).into())
}

/// Whether there is a member named `name`, well-formed or not.
pub fn has(request: &Request<'_>, name: &str) -> bool {
    members(request).any(|member| is_named(member, name))
}

/// The header without the members named `name`, and with `added` at its end; empty when nothing is
/// left.
pub fn rewritten(request: &Request<'_>, name: &str, added: Option<&str>) -> Vec<u8> {
    let mut line = Vec::new();
    let kept = members(request).filter(|member| !is_named(member, name));
    for member in kept.chain(added.map(str::as_bytes)) {
        if !line.is_empty() {
            line.push(b',');
        }
        line.extend_from_slice(member);
    }
    line
}
