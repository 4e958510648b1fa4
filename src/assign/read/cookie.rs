//! The request header `cookie` (RFC 6265, part 4.2), on one line or on several (HTTP/2).
//!
//! Quotes around a value are the value's own, as browsers treat them. Of a name that is there
//! twice the first counts: user agents send the more specific cookie first.

use super::pair;
use crate::request::Request;

/// The value of the first cookie named `name`.
pub fn cookie<'r>(request: &Request<'r>, name: &str) -> Option<&'r [u8]> {
    all(request, name).next()
}

/// The values of all cookies named `name`.
pub fn all<'r, 'n>(
    request: &Request<'r>,
    name: &'n str,
) -> impl Iterator<Item = &'r [u8]> + use<'r, 'n> {
    request
        .header("cookie")
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .filter_map(pair)
        .filter(move |(found, _)| *found == name.as_bytes())
        .map(|(_, value)| value)
}
