//! A borrowed view of one request: method, path, headers, source address.
//!
//! Header names and values are bytes as the host gives them: a value need not be UTF-8, a name may
//! be there on several lines. Nothing is decoded before it is asked for. The caller's address costs
//! a host call, so it is fetched by the one who first needs it, and kept.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::{IpAddr, SocketAddr};

/// One header line: name and value.
pub type Header<'r> = (&'r [u8], &'r [u8]);

/// A request.
pub struct Request<'r> {
    headers: &'r [Header<'r>],
    method: &'r [u8],
    target: &'r [u8],
    path: &'r [u8],
    host: Cow<'r, [u8]>,
    /// The [places](place) of all lines' names: most lookups are for a name that is not there.
    names: u64,
    source: OnceCell<Option<IpAddr>>,
    find_source: &'r dyn Fn() -> Option<IpAddr>,
}

/// The values of all lines of one name.
#[derive(Debug, Clone)]
pub struct Values<'r, 'n> {
    lines: std::slice::Iter<'r, Header<'r>>,
    /// In lower case.
    name: &'n [u8],
}

impl<'r> Iterator for Values<'r, '_> {
    type Item = &'r [u8];

    /// Most names differ in length already, which is seen without a call.
    fn next(&mut self) -> Option<&'r [u8]> {
        for (line, value) in self.lines.by_ref() {
            if line.len() == self.name.len() && line.eq_ignore_ascii_case(self.name) {
                return Some(value);
            }
        }
        None
    }
}

/// One of 64 bits that tells names apart, in any case, by length and last letter.
#[inline(always)]
fn place(name: &[u8]) -> u64 {
    let last = name.last().map_or(0, |byte| usize::from(byte | 0x20));
    1_u64.wrapping_shl(name.len().wrapping_mul(7).wrapping_add(last) as u32)
}

impl<'r> Request<'r> {
    /// A request of these header lines, pseudo-headers (`:method`, `:path`, `:authority`) among
    /// them; `host` stands in for an absent `:authority`. `find_source` is called at most once.
    pub fn new(headers: &'r [Header<'r>], find_source: &'r dyn Fn() -> Option<IpAddr>) -> Self {
        let mut request = Self {
            headers,
            method: b"",
            target: b"",
            path: b"",
            host: Cow::Borrowed(b""),
            names: 0,
            source: OnceCell::new(),
            find_source,
        };
        let (mut authority, mut host): (&[u8], &[u8]) = (b"", b"");
        for (name, value) in headers {
            request.names |= place(name);
            match name.len() {
                4 if name.eq_ignore_ascii_case(b"host") => host = value,
                5 if *name == b":path" => request.target = value,
                7 if *name == b":method" => request.method = value,
                10 if *name == b":authority" => authority = value,
                _ => {}
            }
        }
        request.path = path_of(request.target);
        let host = if authority.is_empty() {
            host
        } else {
            authority
        };
        request.host = lower(without_port(host));
        request
    }

    /// With these in place of the pseudo-headers; what the command line gives apart.
    #[must_use]
    pub fn with_line(mut self, method: &'r [u8], target: &'r [u8]) -> Self {
        self.method = method;
        self.target = target;
        self.path = path_of(target);
        self
    }

    /// All header lines, pseudo-headers among them, as the host gave them.
    pub fn headers(&self) -> &'r [Header<'r>] {
        self.headers
    }

    /// The values of the lines named `name` (in lower case), in order.
    pub fn header<'n>(&self, name: &'n str) -> Values<'r, 'n> {
        let name = name.as_bytes();
        let lines = match self.names & place(name) {
            0 => [].iter(),
            _ => self.headers.iter(),
        };
        Values { lines, name }
    }

    /// The method, as sent.
    pub fn method(&self) -> &'r [u8] {
        self.method
    }

    /// Path and query, as sent; `*` or an authority for OPTIONS and CONNECT.
    pub fn target(&self) -> &'r [u8] {
        self.target
    }

    /// The path without query and fragment, not decoded.
    pub fn path(&self) -> &'r [u8] {
        self.path
    }

    /// The query without `?` and fragment, not decoded; empty if there is none.
    pub fn query(&self) -> &'r [u8] {
        let whole = self
            .target
            .split(|byte| *byte == b'#')
            .next()
            .unwrap_or_default();
        let start = whole.iter().position(|byte| *byte == b'?');
        start
            .and_then(|start| whole.get(start.saturating_add(1)..))
            .unwrap_or_default()
    }

    /// The host without its port, in lower case.
    pub fn host(&self) -> &[u8] {
        &self.host
    }

    /// The caller's address as the proxy sees it.
    pub fn source(&self) -> Option<IpAddr> {
        *self.source.get_or_init(|| (self.find_source)())
    }
}

fn path_of(target: &[u8]) -> &[u8] {
    let end = target.iter().position(|byte| matches!(byte, b'?' | b'#'));
    end.and_then(|end| target.get(..end)).unwrap_or(target)
}

fn without_port(host: &[u8]) -> &[u8] {
    if host.first() == Some(&b'[') {
        let end = host.iter().position(|byte| *byte == b']');
        return end.and_then(|end| host.get(..=end)).unwrap_or(host);
    }
    let end = host.iter().position(|byte| *byte == b':');
    end.and_then(|end| host.get(..end)).unwrap_or(host)
}

fn lower(bytes: &[u8]) -> Cow<'_, [u8]> {
    if bytes.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(bytes.to_ascii_lowercase())
    } else {
        Cow::Borrowed(bytes)
    }
}

/// Reads an address with or without a port (`192.0.2.7:80`, `[::1]:80`, `::1`); a version 4
/// address in version 6 form becomes version 4, so that one caller has one key on both sockets.
pub fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let address = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()))
        .ok()?;
    Some(address.to_canonical())
}

/// Whether a `content-type` is gRPC's own, whose status is in the trailers.
///
/// gRPC-Web is not: it has its status in the body, where nobody reads it, so that it is judged as
/// plain HTTP.
pub fn is_grpc(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let Some((start, rest)) = content_type.split_at_checked(GRPC.len()) else {
        return false;
    };
    start.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// Requests for tests.
#[cfg(test)]
pub(crate) mod testing {
    use super::Header;

    /// Header lines, those of the request line first.
    pub fn lines<'r>(
        first: &[(&'r str, &'r str)],
        others: &[(&'r str, &'r str)],
    ) -> Vec<Header<'r>> {
        let all = first.iter().chain(others);
        all.map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody() -> Option<IpAddr> {
        None
    }

    #[test]
    fn a_target_is_split_at_query_and_fragment() {
        for (target, path, query) in [
            ("/a", "/a", ""),
            ("/a?b=c", "/a", "b=c"),
            ("/a?b?c#d", "/a", "b?c"),
            ("/a#b?c", "/a", ""),
            ("", "", ""),
            ("*", "*", ""),
            ("no-slash?x", "no-slash", "x"),
            ("/%00", "/%00", ""),
        ] {
            let headers = [(&b":path"[..], target.as_bytes())];
            let request = Request::new(&headers, &nobody);
            assert_eq!(request.path(), path.as_bytes(), "{target}");
            assert_eq!(request.query(), query.as_bytes(), "{target}");
        }
    }

    #[test]
    fn a_host_loses_its_port_and_host_stands_in_for_authority() {
        for (host, bare) in [
            ("Shop:80", "shop"),
            ("shop", "shop"),
            ("[::1]:80", "[::1]"),
            ("[::1", "[::1"),
            (":", ""),
            ("", ""),
        ] {
            let headers = [(&b"Host"[..], host.as_bytes())];
            assert_eq!(Request::new(&headers, &nobody).host(), bare.as_bytes());
        }
    }

    #[test]
    fn addresses_come_with_and_without_ports() {
        for (text, address_text) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7:80", "192.0.2.7"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("[::ffff:192.0.2.7]:1", "192.0.2.7"),
        ] {
            assert_eq!(address(text.as_bytes()).unwrap().to_string(), address_text);
        }
        for text in ["", "/run/envoy.sock", "192.0.2", "\u{e9}"] {
            assert_eq!(address(text.as_bytes()), None, "{text}");
        }
        assert_eq!(address(b"\xff"), None);
    }

    #[test]
    fn the_source_is_asked_for_once_and_only_on_demand() {
        let calls = std::cell::Cell::new(0);
        let find = || {
            calls.set(calls.get() + 1);
            address(b"192.0.2.7:1")
        };
        let request = Request::new(&[], &find);
        assert_eq!(calls.get(), 0);
        assert_eq!(request.source(), request.source());
        assert_eq!(calls.get(), 1);
    }

    #[test]
    fn grpc_is_told_by_its_content_type_and_grpc_web_is_not_grpc() {
        for (value, grpc) in [
            ("application/grpc", true),
            ("Application/gRPC", true),
            ("application/grpc+proto", true),
            ("application/grpc; charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/grpc-web-text+proto", false),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(is_grpc(value.as_bytes()), grpc, "{value}");
        }
    }
}
