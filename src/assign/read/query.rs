//! Parameters of the query, decoded as forms are: `%41` is `A`, `+` is a space.
//!
//! Decoded, because two spellings of one value are one caller. Of a name that is there twice the
//! first counts.

use super::super::read;
use crate::request::Request;
use std::borrow::Cow;

/// The value of the first parameter named `name`, decoded; a parameter without `=` is empty.
pub fn parameter<'r>(request: &Request<'r>, name: &str) -> Option<Cow<'r, [u8]>> {
    let mut parameters = request
        .query()
        .split(|byte| *byte == b'&')
        .filter(|part| !part.is_empty())
        .map(|part| read::pair(part).unwrap_or((part, b"")));
    let (_, value) = parameters.find(|(found, _)| *decoded(found) == *name.as_bytes())?;
    Some(decoded(value))
}

fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    Cow::Owned(percent_encoding::percent_decode(&spaced).collect())
}
