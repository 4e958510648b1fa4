//! What goes from hop to hop: the filter's own headers and its member of the W3C `baggage` header.
//!
//! Callers can't name a variant: at an edge both are removed from every request before anything
//! else. In the mesh they are what a hop before decided. The headers tell the next hop of one
//! request; baggage is what an application hands on to the requests it makes in turn, as it does
//! its trace headers. The member's value lists decisions, `checkout:canary.search:stable`, the
//! newest last; at most [`MOST_CARRIED`], of which the oldest give way. After them come flags,
//! `rec_engine=on`, as a header of their own tells them too; at most [`MOST_FLAGS`].

use super::flags::FLAGS_HEADER;
use super::read::{baggage, pair};
use crate::request::Request;

/// Tells the upstream the variant; absent for stable.
pub const VARIANT_HEADER: &str = "x-serinus-variant";
/// Tells the upstream the route whose variant that is.
pub const ROUTE_HEADER: &str = "x-serinus-route";
/// What all of the filter's own headers begin with.
pub const OWN_PREFIX: &[u8] = b"x-serinus-";
/// The filter's member of the baggage.
pub const MEMBER: &str = "serinus";
/// Decisions in the member; a request that passed more routes than this names the latest.
pub const MOST_CARRIED: usize = 8;

/// Flags in the header and in the member, and so of a policy: a member with that many of the longest
/// is half of what a `baggage` header may hold (8,192 bytes).
pub const MOST_FLAGS: usize = 50;

/// The filter's own header names among the request's, each once.
pub fn own_headers<'r>(request: &Request<'r>) -> Vec<&'r [u8]> {
    let mut own: Vec<&[u8]> = Vec::new();
    for (name, _) in request.headers() {
        if is_own(name) && !own.contains(name) {
            own.push(name);
        }
    }
    own
}

/// Looks at one letter first, which tells most names apart.
fn is_own(name: &[u8]) -> bool {
    let prefix = name.get(..OWN_PREFIX.len());
    matches!(name, [_, b'-', b's' | b'S', ..])
        && prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(OWN_PREFIX))
}

/// The variant that a hop before chose for `route`: by its headers, else by the baggage.
pub fn carried(request: &Request<'_>, route: &str) -> Option<String> {
    let told = |name| request.header(name).next();
    if told(ROUTE_HEADER) == Some(route.as_bytes())
        && let Some(variant) = told(VARIANT_HEADER)
    {
        return String::from_utf8(variant.to_vec()).ok();
    }
    let member = baggage::member(request, MEMBER)?;
    let member = std::str::from_utf8(&member).ok()?;
    decisions(member)
        .find(|(carried, _)| *carried == route)
        .map(|(_, variant)| variant.to_owned())
}

fn decisions(member: &str) -> impl DoubleEndedIterator<Item = (&str, &str)> {
    member.split('.').filter_map(|part| part.split_once(':'))
}

/// The `baggage` header without the filter's member; `None` if it has none. Empty when nothing is
/// left of it.
pub fn without_member(request: &Request<'_>) -> Option<Vec<u8>> {
    baggage::has(request, MEMBER).then(|| baggage::rewritten(request, MEMBER, None))
}

/// The `baggage` header with the decision for a route and with flags in the filter's member;
/// decisions for other routes stay if `keep` (in the mesh), and what others put there always does.
pub fn with_member<'f>(
    request: &Request<'_>,
    route: Option<(&str, &str)>,
    flags: impl Iterator<Item = (&'f str, &'f str)>,
    keep: bool,
) -> Vec<u8> {
    let before = keep.then(|| baggage::member(request, MEMBER)).flatten();
    let before = before
        .as_deref()
        .and_then(|member| std::str::from_utf8(member).ok())
        .unwrap_or_default();
    let mut kept: Vec<String> = decisions(before)
        .rev()
        .filter(|(name, variant)| {
            let is_anew = route.is_some_and(|(route, _)| route == *name);
            !is_anew && is_name(name) && is_name(variant)
        })
        .take(MOST_CARRIED.saturating_sub(usize::from(route.is_some())))
        .map(|(name, variant)| format!("{name}:{variant}"))
        .collect();
    kept.reverse();
    kept.extend(route.map(|(route, variant)| format!("{route}:{variant}")));
    kept.extend(flags.map(|(flag, value)| format!("{flag}={value}")));
    let member = format!("{MEMBER}={}", kept.join("."));
    baggage::rewritten(request, MEMBER, Some(&member))
}

/// The flags that a hop before told, by its header or else by the baggage, each once.
pub fn carried_flags(request: &Request<'_>) -> Vec<(String, String)> {
    let mut flags: Vec<(String, String)> = Vec::new();
    let mut add = |(name, value): (&[u8], &[u8])| {
        let name = std::str::from_utf8(name).ok().filter(|name| is_name(name));
        let value = std::str::from_utf8(value)
            .ok()
            .filter(|text| is_value(text));
        if let (Some(name), Some(value)) = (name, value)
            && flags.len() < MOST_FLAGS
            && !flags.iter().any(|(known, _)| known == name)
        {
            flags.push((name.to_owned(), value.to_owned()));
        }
    };
    for line in request.header(FLAGS_HEADER) {
        let members = line.split(|byte| *byte == b',').filter_map(pair);
        members
            .filter_map(|(name, value)| {
                let value: &[u8] = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
                Some((name, value))
            })
            .for_each(&mut add);
    }
    if let Some(member) = baggage::member(request, MEMBER) {
        member
            .split(|byte| *byte == b'.')
            .filter_map(pair)
            .for_each(&mut add);
    }
    flags
}

/// Whether `text` can be the value of a flag.
pub fn is_value(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=40).contains(&text.len()) && text.bytes().all(fits)
}

/// Whether `text` has a name's characters, so that a foreign member can't widen the header.
fn is_name(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assign::testing::with_request;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    #[test]
    fn own_headers_are_found_in_any_case_and_once() {
        let headers = [
            ("x-serinus-variant", "a"),
            ("X-Serinus-Anything", "b"),
            ("x-serinus-variant", "c"),
            ("x-serinu", "d"),
            ("x-request-id", "e"),
        ];
        let own = with_request("GET", "/", &headers, |request| {
            own_headers(request)
                .into_iter()
                .map(text)
                .collect::<Vec<_>>()
        });
        assert_eq!(own, ["x-serinus-variant", "X-Serinus-Anything"]);
    }

    #[test]
    fn the_member_is_merged_and_nothing_else_is_touched() {
        let table = [
            ("", "serinus=r:v"),
            ("a=1;p=2, b = 3", "a=1;p=2,b = 3,serinus=r:v"),
            ("serinus=evil:canary,a=1", "a=1,serinus=r:v"),
            ("serinus,serinus;x=1,serinusx=1", "serinusx=1,serinus=r:v"),
            ("broken;;,==", "broken;;,==,serinus=r:v"),
        ];
        for (before, after) in table {
            let merged = with_request("GET", "/", &[("baggage", before)], |request| {
                text(&with_member(
                    request,
                    Some(("r", "v")),
                    [].into_iter(),
                    false,
                ))
            });
            assert_eq!(merged, after, "{before}");
        }
    }

    #[test]
    fn stripping_leaves_what_others_put_there() {
        for (before, after) in [
            ("a=1", None),
            ("serinus=x:y", Some("")),
            ("a=1, serinus=x:y;p, b=2", Some("a=1,b=2")),
        ] {
            let stripped = with_request("GET", "/", &[("baggage", before)], |request| {
                without_member(request).as_deref().map(text)
            });
            assert_eq!(stripped.as_deref(), after, "{before}");
        }
    }

    #[test]
    fn in_the_mesh_decisions_of_other_routes_go_on_and_the_oldest_give_way() {
        let before = "serinus=a:1.b:2.r:old.c:3.d:4.e:5.f:6.g:7.h:8";
        let merged = with_request("GET", "/", &[("baggage", before)], |request| {
            text(&with_member(
                request,
                Some(("r", "v")),
                [].into_iter(),
                true,
            ))
        });
        assert_eq!(merged, "serinus=b:2.c:3.d:4.e:5.f:6.g:7.h:8.r:v");
    }

    #[test]
    fn a_hop_before_is_heard_by_its_headers_and_by_baggage() {
        type Headers = &'static [(&'static str, &'static str)];
        let table: [(Headers, Option<&str>); 6] = [
            (
                &[("x-serinus-route", "r"), ("x-serinus-variant", "v")],
                Some("v"),
            ),
            (
                &[("x-serinus-route", "q"), ("x-serinus-variant", "v")],
                None,
            ),
            (&[("x-serinus-variant", "v")], None),
            (&[("baggage", "a=b,serinus=q:x.r:v")], Some("v")),
            (&[("baggage", "serinus=r")], None),
            (&[("baggage", "serinus=%ff%fe")], None),
        ];
        for (headers, expected) in table {
            let found = with_request("GET", "/", headers, |request| carried(request, "r"));
            assert_eq!(found.as_deref(), expected, "{headers:?}");
        }
    }
}
