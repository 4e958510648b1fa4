//! The headers of a copy, made of those of the request that it copies.
//!
//! A copy is a request of the proxy's own: what belongs to the caller's connection stays there
//! (RFC 9110, part 7.6.1), the body's length is the host's to write (a stale `content-length` or a
//! `transfer-encoding` makes the upstream wait for a body that never comes), and `x-envoy-*`, with
//! which retries and timeouts are ordered from the proxy, is left out whole. The copy is part of the
//! caller's trace, in a span of its own.
//!
//! Stable's extra calls are shaped like the candidate's but for host and path, so that whatever the
//! shaping changes in answers, it changes in noise pairs as well.
//!
//! The host takes header values as text. A request with bytes that are none, with a name that is no
//! token or with control characters in a value is not copied at all ([`Skipped::Malformed`]): a copy
//! without that line would be another request.

use super::sample::{CREDENTIALS, SHADOW_HEADER, Skipped};
use crate::request::Request;

/// Headers that belong to a connection, to the framing of the body, or to the caller's waiting
/// (`expect`); and `x-forwarded-client-cert`, which says who holds the other end of the connection.
const DROPPED: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-client-cert",
];

/// What headers begin with that are the filter's own, or orders to the proxy.
const DROPPED_PREFIXES: [&str; 2] = ["x-serinus-", "x-envoy-"];

/// A new beginning for a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// What the path must begin with; others stay as they are.
    pub prefix: String,
    /// What stands there instead.
    pub with: String,
}

/// What a copy has that differs from the request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Target<'a> {
    /// The host; the request's if none.
    pub host: Option<&'a str>,
    /// The path.
    pub rewrite: Option<&'a Rewrite>,
    /// Whether credentials go along.
    pub credentials: bool,
}

/// Header lines in order, pseudo-headers first; names in lower case.
pub type Lines = Vec<(String, String)>;

/// The headers of a copy of `request`. `span` is 64 random bits.
///
/// # Errors
/// [`Skipped::Malformed`].
pub fn shaped(request: &Request<'_>, target: &Target<'_>, span: u64) -> Result<Lines, Skipped> {
    let mut lines = pseudo(request, target)?;
    let nominated = nominated(request);
    for (name, value) in request.headers() {
        if name.starts_with(b":") {
            continue;
        }
        let name = token(name).ok_or(Skipped::Malformed)?;
        let stays = DROPPED.contains(&name.as_str())
            || DROPPED_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix))
            || nominated.contains(&name)
            || (!target.credentials && CREDENTIALS.contains(&name.as_str()));
        if !stays {
            let value = text(value).ok_or(Skipped::Malformed)?;
            lines.extend(traced(&name, value, span).map(|value| (name, value)));
        }
    }
    lines.push((SHADOW_HEADER.to_owned(), "1".to_owned()));
    Ok(lines)
}

fn pseudo(request: &Request<'_>, target: &Target<'_>) -> Result<Lines, Skipped> {
    let first = |name: &str| request.header(name).find(|value| !value.is_empty());
    let given = |value: Option<&[u8]>| value.and_then(line).ok_or(Skipped::Malformed);
    let path = given(Some(request.target()))?;
    let path = match target
        .rewrite
        .and_then(|of| Some((of, path.strip_prefix(&of.prefix)?)))
    {
        Some((rewrite, rest)) => format!("{}{rest}", rewrite.with),
        None => path,
    };
    let authority = match target.host {
        Some(host) => host.to_owned(),
        None => given(first(":authority").or_else(|| first("host")))?,
    };
    let scheme = match first(":scheme") {
        Some(b"https") => "https",
        _ => "http",
    };
    Ok(vec![
        (":method".to_owned(), given(Some(request.method()))?),
        (":path".to_owned(), path),
        (":scheme".to_owned(), scheme.to_owned()),
        (":authority".to_owned(), authority),
    ])
}

/// The headers that `connection` names: they belong to the connection too.
fn nominated(request: &Request<'_>) -> Vec<String> {
    let values = request.header("connection");
    let names = values.flat_map(|value| value.split(|byte| *byte == b','));
    names.filter_map(|name| token(name.trim_ascii())).collect()
}

/// A header's name in lower case, if it is a token of RFC 9110, part 5.6.2.
fn token(name: &[u8]) -> Option<String> {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let name = std::str::from_utf8(name).ok()?;
    (!name.is_empty() && name.bytes().all(|byte| fits(&byte))).then(|| name.to_ascii_lowercase())
}

/// A value without control characters but the tab.
fn text(value: &[u8]) -> Option<&str> {
    let fits = |byte: &u8| (*byte >= b' ' && *byte != 0x7f) || *byte == b'\t';
    std::str::from_utf8(value)
        .ok()
        .filter(|_| value.iter().all(fits))
}

/// A value that is not empty and has no spaces either.
fn line(value: &[u8]) -> Option<String> {
    let value = text(value)?;
    let fits = !value.is_empty() && !value.contains([' ', '\t']);
    fits.then(|| value.to_owned())
}

/// `value` with the span of its own, if `name` tells of the trace; none if it can't be read, which
/// begins a new trace. W3C Trace Context and both forms of B3.
fn traced(name: &str, value: &str, span: u64) -> Option<String> {
    // All zeros is no span.
    let own = format!("{:016x}", span.max(1));
    match name {
        "traceparent" => {
            let mut parts = value.splitn(4, '-');
            let (version, trace) = (parts.next()?, parts.next()?);
            let (parent, flags) = (parts.next()?, parts.next()?);
            let valid = is_hex(version, 2) && is_hex(trace, 32) && is_hex(parent, 16);
            let flags_valid = flags.get(..2).is_some_and(|flags| is_hex(flags, 2));
            (valid && flags_valid).then(|| format!("{version}-{trace}-{own}-{flags}"))
        }
        "x-b3-spanid" => Some(own),
        // The caller's own parent is a step too far up, and may be left out.
        "x-b3-parentspanid" => None,
        "b3" => {
            let mut parts = value.splitn(4, '-');
            let (trace, parent) = (parts.next()?, parts.next());
            Some(match (parent, parts.next()) {
                (None, _) => trace.to_owned(),
                (Some(_), None) => format!("{trace}-{own}"),
                (Some(parent), Some(sampled)) => format!("{trace}-{own}-{sampled}-{parent}"),
            })
        }
        _ => Some(value.to_owned()),
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    let fits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == length && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::super::testing::with_request;
    use super::*;
    use proptest::prelude::*;

    const SPAN: u64 = 0xabc;

    fn copy(target: &Target<'_>, path: &str, headers: &[(&str, &str)]) -> Result<Lines, Skipped> {
        with_request("GET", path, headers, |request| {
            shaped(request, target, SPAN)
        })
    }

    fn rest(headers: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut lines = copy(&Target::default(), "/", headers).unwrap();
        let marked = lines.pop().unwrap();
        assert_eq!(marked, (SHADOW_HEADER.to_owned(), "1".to_owned()));
        lines.split_off(4)
    }

    fn lines(of: &[(&str, &str)]) -> Vec<(String, String)> {
        let line = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        of.iter().map(line).collect()
    }

    #[test]
    fn a_copy_names_its_own_host_and_path() {
        let rewrite = Rewrite {
            prefix: "/get_widgets".to_owned(),
            with: "/v2/widgets".to_owned(),
        };
        let target = Target {
            host: Some("v2.internal"),
            rewrite: Some(&rewrite),
            credentials: false,
        };
        let first = |path| copy(&target, path, &[]).unwrap()[..4].to_vec();
        let expected = |path| {
            lines(&[
                (":method", "GET"),
                (":path", path),
                (":scheme", "https"),
                (":authority", "v2.internal"),
            ])
        };
        assert_eq!(first("/get_widgets/7?a=b"), expected("/v2/widgets/7?a=b"));
        assert_eq!(first("/other"), expected("/other"));
        let same = copy(&Target::default(), "/", &[]).unwrap();
        assert_eq!(same[3].1, "shop");
    }

    #[test]
    fn host_stands_in_for_an_absent_authority() {
        let headers: [(&[u8], &[u8]); 3] =
            [(b":method", b"GET"), (b":path", b"/"), (b"Host", b"a:80")];
        let request = Request::new(&headers, &|| None);
        let lines = shaped(&request, &Target::default(), 1).unwrap();
        assert_eq!(lines[3], (":authority".to_owned(), "a:80".to_owned()));
        let request = Request::new(&headers[..2], &|| None);
        assert_eq!(
            shaped(&request, &Target::default(), 1),
            Err(Skipped::Malformed)
        );
    }

    #[test]
    fn what_belongs_to_the_connection_the_proxy_or_the_filter_stays_behind() {
        let kept = [
            ("accept", "a"),
            ("accept", "b"),
            ("x-forwarded-for", "192.0.2.7"),
        ];
        let mut headers = vec![
            ("Connection", "Keep-Alive, X-Hop"),
            ("x-hop", "1"),
            ("x-serinus-variant", "canary"),
            ("X-Envoy-Retry-On", "5xx"),
            ("proxy-authorization", "x"),
            ("cookie", "a=b"),
        ];
        headers.extend(DROPPED.map(|name| (name, "1")));
        headers.extend(kept);
        assert_eq!(rest(&headers), lines(&kept));
    }

    #[test]
    fn credentials_go_along_only_where_they_may() {
        let target = Target {
            credentials: true,
            ..Target::default()
        };
        let lines = copy(&target, "/", &[("Cookie", "a=b")]).unwrap();
        assert_eq!(lines[4], ("cookie".to_owned(), "a=b".to_owned()));
    }

    #[test]
    fn a_copy_has_a_span_of_its_own_in_the_same_trace() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (name, value, expected) in [
            (
                "traceparent",
                format!("00-{TRACE}-00f067aa0ba902b7-01"),
                Some(format!("00-{TRACE}-0000000000000abc-01")),
            ),
            ("traceparent", format!("00-{TRACE}-short-01"), None),
            ("traceparent", "junk".to_owned(), None),
            (
                "x-b3-spanid",
                "00f067aa0ba902b7".to_owned(),
                Some("0000000000000abc".to_owned()),
            ),
            ("x-b3-parentspanid", "1".to_owned(), None),
            ("b3", "0".to_owned(), Some("0".to_owned())),
            (
                "b3",
                format!("{TRACE}-1-1-2"),
                Some(format!("{TRACE}-0000000000000abc-1-1")),
            ),
            ("tracestate", "a=b".to_owned(), Some("a=b".to_owned())),
        ] {
            let found = rest(&[(name, &value)]);
            let found = found.into_iter().next().map(|(_, value)| value);
            assert_eq!(found, expected, "{name}: {value}");
        }
        assert_eq!(traced("x-b3-spanid", "", 0).unwrap(), "0000000000000001");
    }

    #[test]
    fn a_request_that_cannot_be_sent_on_as_it_is_is_not_copied() {
        for (name, value) in [
            ("x", "a\r\nb: c"),
            ("x", "\0"),
            ("a b", "c"),
            ("", "c"),
            ("x\n", ""),
        ] {
            let copied = copy(&Target::default(), "/", &[(name, value)]);
            assert_eq!(copied, Err(Skipped::Malformed), "{name:?}: {value:?}");
        }
        assert_eq!(
            copy(&Target::default(), "/a b", &[]),
            Err(Skipped::Malformed)
        );
        assert_eq!(copy(&Target::default(), "", &[]), Err(Skipped::Malformed));
    }

    proptest! {
        #[test]
        fn no_request_makes_a_copy_that_breaks_a_line(
            headers in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..8), prop::collection::vec(any::<u8>(), 0..8)),
                0..6,
            ),
            path in prop::collection::vec(any::<u8>(), 0..8),
        ) {
            let mut all: Vec<(&[u8], &[u8])> =
                vec![(b":method", b"GET"), (b":path", &path), (b":authority", b"a")];
            all.extend(headers.iter().map(|(name, value)| (&name[..], &value[..])));
            let request = Request::new(&all, &|| None);
            if let Ok(lines) = shaped(&request, &Target::default(), 1) {
                for (name, value) in &lines {
                    let breaks = |text: &str| text.contains(['\r', '\n', '\0']);
                    prop_assert!(!name.is_empty() && !breaks(name) && !breaks(value));
                }
                let pseudo = lines.iter().filter(|(name, _)| name.starts_with(':')).count();
                prop_assert_eq!(pseudo, 4);
            }
        }
    }
}
