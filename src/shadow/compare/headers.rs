//! Which header fields are compared, and when their values are equal.
//!
//! Compared are the fields that a client acts upon. Not compared are those that differ between two
//! calls of the same version (date, age, etag, request ids), those that the way there adds (vary,
//! content-length) and content-encoding, which the body's comparison removes. A field is compared
//! by its meaning where its grammar gives the order no meaning, and as text otherwise.

use super::media::{Parameter, media_type};
use super::response::{Fields, Response, pair, parts, trim, values};
use crate::sorted::distinct;

/// The fields compared without being asked for.
const DEFAULT: [&str; 6] = [
    "content-type",
    "location",
    "cache-control",
    "www-authenticate",
    "allow",
    "set-cookie",
];

/// The names (lower case) of the fields that a comparison looks at: the default ones, `also`, and
/// those that say how to read the body. A capture may drop all others.
pub(super) fn is_read(name: &str, also: &[String]) -> bool {
    const FOR_THE_BODY: [&str; 2] = ["content-encoding", "grpc-status"];
    compared(also)
        .chain(FOR_THE_BODY)
        .any(|read| name.eq_ignore_ascii_case(read))
}

/// The names (lower case) of the fields in which `left` and `right` differ.
pub(super) fn differing<'a>(
    left: &Response<'_>,
    right: &Response<'_>,
    also: &'a [String],
) -> Vec<&'a str> {
    distinct(compared(also).filter(|name| !equal(name, left.headers, right.headers)))
}

fn compared(also: &[String]) -> impl Iterator<Item = &str> {
    DEFAULT.into_iter().chain(also.iter().map(String::as_str))
}

fn equal(name: &str, left: &Fields, right: &Fields) -> bool {
    if values(left, name).next().is_some() != values(right, name).next().is_some() {
        return false;
    }
    match name {
        "content-type" => media_type(left) == media_type(right),
        "cache-control" => directives(left) == directives(right),
        "allow" => methods(left) == methods(right),
        "set-cookie" => cookie_names(left) == cookie_names(right),
        _ => joined(left, name) == joined(right, name),
    }
}

fn directives(headers: &Fields) -> Vec<Parameter> {
    let lines = values(headers, "cache-control");
    let pairs = lines.flat_map(|line| parts(line, b',')).map(pair);
    distinct(pairs.map(|(name, value)| (name.to_ascii_lowercase(), value)))
}

fn methods(headers: &Fields) -> Vec<&[u8]> {
    let lines = values(headers, "allow");
    let methods = lines.flat_map(|line| line.split(|&byte| byte == b','));
    distinct(methods.map(trim).filter(|method| !method.is_empty()))
}

fn cookie_names(headers: &Fields) -> Vec<&[u8]> {
    let lines = values(headers, "set-cookie");
    let names = lines.map(|line| line.split(|&byte| byte == b'=').next());
    distinct(names.map(|name| trim(name.unwrap_or_default())))
}

fn joined(headers: &Fields, name: &str) -> Vec<u8> {
    let lines: Vec<&[u8]> = values(headers, name).collect();
    lines.join(&b", "[..])
}

/// The grpc-status of a response: from its trailers, else (trailers-only responses) its headers.
pub(super) fn grpc_status<'a>(response: &Response<'a>) -> Option<&'a [u8]> {
    let name = "grpc-status";
    let status = values(response.trailers, name).next();
    status.or_else(|| values(response.headers, name).next())
}

#[cfg(test)]
mod tests {
    use super::{Fields, equal, is_read};

    fn lines(name: &str, values: &[&str]) -> Vec<(String, Vec<u8>)> {
        let line = |value: &&str| (name.to_owned(), value.as_bytes().to_vec());
        values.iter().map(line).collect()
    }

    fn same(name: &str, left: &[&str], right: &[&str]) -> bool {
        let (left, right): (&Fields, &Fields) = (&lines(name, left), &lines(name, right));
        assert!(equal(name, left, left) && equal(name, right, right));
        assert_eq!(equal(name, left, right), equal(name, right, left));
        equal(name, left, right)
    }

    #[test]
    fn an_empty_field_is_not_an_absent_one() {
        for name in [
            "content-type",
            "cache-control",
            "allow",
            "set-cookie",
            "x-plan",
        ] {
            assert!(!same(name, &[""], &[]), "{name}");
        }
    }

    #[test]
    fn cache_control_is_a_set_over_all_lines() {
        let name = "cache-control";
        assert!(same(
            name,
            &["no-cache, max-age=\"60\""],
            &["Max-Age=60", "NO-CACHE,,"]
        ));
        assert!(!same(name, &["private=\"a, b\""], &["private=\"a\", b"]));
        assert!(!same(name, &["max-age=60"], &["max-age=61"]));
    }

    #[test]
    fn methods_have_case_and_no_order() {
        assert!(same("allow", &["GET,PUT"], &["PUT , GET"]));
        assert!(!same("allow", &["GET"], &["get"]));
    }

    #[test]
    fn cookies_are_a_set_of_names() {
        let name = "set-cookie";
        assert!(same(
            name,
            &["a=1; Expires=Sat, 21 Nov 2026"],
            &["a=2", "a=3"]
        ));
        assert!(!same(name, &["a=1, b=2"], &["a=1", "b=2"]));
    }

    #[test]
    fn other_fields_are_text_over_all_lines() {
        assert!(same("location", &["/a", "/b"], &[" /a, /b "]));
        assert!(!same("x-plan", &["a,b"], &["a, b"]));
    }

    #[test]
    fn a_capture_may_drop_what_no_comparison_reads() {
        let also = ["x-plan".to_owned()];
        assert!(is_read("Content-Encoding", &also) && is_read("X-Plan", &also));
        assert!(!is_read("etag", &also));
    }
}
