//! What a caller sent, read: cookies, query, baggage, tokens, what it accepts.
//!
//! Each reader takes bytes that anybody could have sent, walks them once, and gives what is plainly
//! there; what is malformed is absent. None allocates but for the one value that is asked for.

pub mod accept;
pub mod baggage;
pub mod cookie;
pub mod jwt;
pub mod query;

/// `bytes` without the spaces and tabs at its ends.
pub fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

/// Name and value of `name=value`, trimmed; `None` without `=`.
pub fn pair(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == b'=')?;
    let (name, value) = bytes.split_at_checked(at)?;
    Some((trimmed(name), trimmed(value.get(1..).unwrap_or_default())))
}
