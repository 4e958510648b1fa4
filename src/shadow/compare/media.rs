//! What a content-type says: which comparison it asks for, and when two of them are equal.

use super::response::{Fields, pair, parts, values};
use crate::sorted::distinct;

/// How a body is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// One JSON text.
    Json,
    /// A JSON text a line.
    JsonLines,
    /// Bytes.
    Opaque,
}

/// A name and its value, if it has one.
pub(super) type Parameter = (Vec<u8>, Option<Vec<u8>>);

/// A content-type in the form in which equal ones are equal: the type in lower case, the
/// parameters as a set, their names in lower case and their values without quotes.
///
/// `boundary` is left out, since it is drawn anew for each answer. The values of `charset` have no
/// case, those of other parameters have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MediaType {
    essence: Vec<u8>,
    parameters: Vec<Parameter>,
}

/// The first content-type among `headers`, if there is one.
pub(super) fn media_type(headers: &Fields) -> Option<MediaType> {
    let value = values(headers, "content-type").next()?;
    let essence = value.split(|&byte| byte == b';').next().unwrap_or_default();
    let rest = value.get(essence.len()..).unwrap_or_default();
    let parameters = parts(rest, b';').map(|part| {
        let (name, mut value) = pair(part);
        let name = name.to_ascii_lowercase();
        if name == b"charset"
            && let Some(value) = &mut value
        {
            value.make_ascii_lowercase();
        }
        (name, value)
    });
    Some(MediaType {
        essence: super::response::trim(essence).to_ascii_lowercase(),
        parameters: distinct(parameters.filter(|(name, _)| name != b"boundary")),
    })
}

impl MediaType {
    /// How a body of this type is compared.
    pub(super) fn class(&self) -> Class {
        const LINES: [&[u8]; 5] = [
            b"application/x-ndjson",
            b"application/ndjson",
            b"application/jsonl",
            b"application/x-jsonlines",
            b"application/jsonlines",
        ];
        let mut halves = self.essence.splitn(2, |&byte| byte == b'/').skip(1);
        let subtype = halves.next().unwrap_or_default();
        if LINES.contains(&self.essence.as_slice()) {
            Class::JsonLines
        } else if self.is_grpc() {
            Class::Opaque
        } else if subtype == b"json" || subtype.ends_with(b"+json") {
            Class::Json
        } else {
            Class::Opaque
        }
    }

    /// Whether this is gRPC proper; gRPC-Web carries its status inside the body.
    pub(super) fn is_grpc(&self) -> bool {
        let suffix = self.essence.strip_prefix(b"application/grpc");
        suffix.is_some_and(|suffix| suffix.is_empty() || suffix.starts_with(b"+"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, MediaType, media_type};

    fn of(value: &str) -> MediaType {
        media_type(&[("Content-Type".to_owned(), value.into())]).unwrap()
    }

    #[test]
    fn the_subtype_decides_how_a_body_is_compared() {
        for (value, class) in [
            ("application/json", Class::Json),
            ("Text/JSON; charset=utf-8", Class::Json),
            ("application/problem+json", Class::Json),
            ("application/grpc+json", Class::Opaque),
            ("application/x-ndjson", Class::JsonLines),
            ("application/JSONL;x=y", Class::JsonLines),
            ("application/jsonp", Class::Opaque),
            ("json", Class::Opaque),
            ("", Class::Opaque),
        ] {
            assert_eq!(of(value).class(), class, "{value}");
        }
    }

    #[test]
    fn parameters_are_a_set_with_case_only_in_their_values() {
        assert_eq!(
            of("a/b;X=1; charset=\"UTF-8\""),
            of("A/B ; charset=utf-8;x=1")
        );
        assert_eq!(
            of("multipart/mixed; boundary=x"),
            of("multipart/mixed;boundary=\"y\"")
        );
        assert_ne!(of("a/b;x=A"), of("a/b;x=a"));
        assert_ne!(of("a/b"), of("a/b;charset=utf-8"));
    }

    #[test]
    fn grpc_web_is_not_grpc() {
        assert!(of("application/grpc").is_grpc());
        assert!(of("application/gRPC+proto; x=y").is_grpc());
        assert!(!of("application/grpc-web+proto").is_grpc());
    }

    #[test]
    fn the_first_line_counts() {
        let lines = [
            ("content-type".to_owned(), b"text/html".to_vec()),
            ("content-type".to_owned(), b"application/json".to_vec()),
        ];
        assert_eq!(media_type(&lines), Some(of("text/html")));
        assert_eq!(media_type(&[]), None);
    }
}
