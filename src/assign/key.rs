//! The key: the value that makes a caller sticky.
//!
//! Sources are asked in the policy's order and the first value that is not empty counts. An empty
//! value is none: a draw from it would put every caller without a key on one side together.

use super::cookie::IssueCookie;
use super::read;
use crate::request::Request;
use std::borrow::Cow;
use std::fmt;

/// Where a key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A header, by its name in lower case: the first of its lines that is not empty.
    Header(String),
    /// A cookie, by name.
    Cookie(String),
    /// A claim of the token in a header.
    JwtClaim {
        /// The claim.
        claim: String,
        /// The header, in lower case.
        header: String,
    },
    /// A parameter of the query, by name.
    Query(String),
    /// A member of the baggage, by name.
    Baggage(String),
    /// The caller's address.
    ClientIp,
    /// A cookie that the filter itself gives out.
    IssueCookie(IssueCookie),
}

impl KeySource {
    /// The value for `request`, if there is one that is not empty. For an issued cookie: the id
    /// that the caller holds, if it is well-formed.
    pub fn value<'r>(&self, request: &Request<'r>) -> Option<Cow<'r, [u8]>> {
        let value = match self {
            Self::Header(name) => {
                Cow::Borrowed(request.header(name).find(|line| !line.is_empty())?)
            }
            Self::Cookie(name) => Cow::Borrowed(read::cookie::cookie(request, name)?),
            Self::JwtClaim { claim, header } => Cow::Owned(claimed(request, header, claim)?),
            Self::Query(name) => read::query::parameter(request, name)?,
            Self::Baggage(name) => read::baggage::member(request, name)?,
            Self::ClientIp => Cow::Owned(client_ip(request)?),
            Self::IssueCookie(cookie) => Cow::Borrowed(cookie.held(request)?),
        };
        (!value.is_empty()).then_some(value)
    }
}

#[inline(never)]
fn claimed(request: &Request<'_>, header: &str, claim: &str) -> Option<Vec<u8>> {
    let mut lines = request.header(header);
    let claim = lines.find_map(|line| read::jwt::claim(line, claim))?;
    Some(claim.into_bytes())
}

#[inline(never)]
fn client_ip(request: &Request<'_>) -> Option<Vec<u8>> {
    Some(request.source()?.to_string().into_bytes())
}

/// The source's kind and name, never its value: `header:x-user-id`, `clientIp`.
impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::JwtClaim { claim, .. } => write!(f, "jwtClaim:{claim}"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Baggage(name) => write!(f, "baggage:{name}"),
            Self::ClientIp => f.write_str("clientIp"),
            Self::IssueCookie(cookie) => write!(f, "issueCookie:{}", cookie.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assign::testing::with_request;

    fn value(source: &KeySource, target: &str, headers: &[(&str, &str)]) -> Option<String> {
        with_request("GET", target, headers, |request| {
            source
                .value(request)
                .map(|value| String::from_utf8_lossy(&value).into_owned())
        })
    }

    #[test]
    fn each_source_gives_its_value() {
        let headers = [
            ("x-user-id", "anna"),
            ("cookie", "theme=dark; session_id=s-1; other=\"q\""),
            ("authorization", "Bearer e30.eyJzdWIiOiJhbm5hIn0.x"),
            ("baggage", "a=b;p=1, user = an%20na ; q, c"),
        ];
        let name = String::from;
        let table = [
            (KeySource::Header(name("x-user-id")), "anna"),
            (KeySource::Cookie(name("session_id")), "s-1"),
            (KeySource::Query(name("user")), "an na"),
            (KeySource::Baggage(name("user")), "an na"),
            (KeySource::ClientIp, "192.0.2.7"),
            (
                KeySource::JwtClaim {
                    claim: name("sub"),
                    header: name("authorization"),
                },
                "anna",
            ),
        ];
        for (source, expected) in table {
            let found = value(&source, "/?x=1&user=an+na", &headers);
            assert_eq!(found.as_deref(), Some(expected), "{source}");
        }
    }

    #[test]
    fn an_empty_value_is_none() {
        let name = String::from;
        for (source, target, header) in [
            (KeySource::Header(name("x")), "/", ("x", "")),
            (KeySource::Cookie(name("c")), "/", ("cookie", "c=; d=1")),
            (KeySource::Query(name("q")), "/?q=&q=2", ("x", "")),
            (KeySource::Query(name("q")), "/?q", ("x", "")),
            (KeySource::Baggage(name("b")), "/", ("baggage", "b=,c=1")),
            (
                KeySource::JwtClaim {
                    claim: name("sub"),
                    header: name("x"),
                },
                "/",
                ("x", "e30.eyJzdWIiOiIifQ.x"),
            ),
        ] {
            assert_eq!(value(&source, target, &[header]), None, "{source}");
        }
    }

    #[test]
    fn the_first_line_that_is_not_empty_counts() {
        let source = KeySource::Header("x".to_owned());
        let found = value(&source, "/", &[("x", ""), ("x", "a"), ("x", "b")]);
        assert_eq!(found.as_deref(), Some("a"));
    }
}
