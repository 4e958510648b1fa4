//! One answer, as the comparison sees it.

/// Header or trailer fields in order; names in any case, values as bytes.
///
/// A value need not be UTF-8, and a name may come more than once: the form in which a proxy hands
/// fields over.
pub type Fields = [(String, Vec<u8>)];

/// An answer to compare, borrowed from whoever captured it.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: &'a Fields,
    /// The bytes as they were sent, content codings not removed; `None` if they were not captured
    /// whole, and then the bodies are not compared.
    pub body: Option<&'a [u8]>,
    /// The trailer fields.
    pub trailers: &'a Fields,
}

/// The values of all `fields` called `name` (lower case), each trimmed of spaces and tabs.
pub(super) fn values<'a>(fields: &'a Fields, name: &str) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| trim(value))
}

/// `bytes` without the spaces and tabs around it.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The parts of `bytes` between `separator`s that are outside double quotes, trimmed; empty parts
/// are left out. A backslash inside quotes takes the byte after it along.
pub(super) fn parts(bytes: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    bytes
        .split(move |&byte| {
            if escaped {
                escaped = false;
                return false;
            }
            escaped = quoted && byte == b'\\';
            quoted ^= byte == b'"';
            byte == separator && !quoted
        })
        .map(trim)
        .filter(|part| !part.is_empty())
}

/// A `name=value` pair: the name, and the value with its quotes removed, or `None` without a `=`.
pub(super) fn pair(part: &[u8]) -> (&[u8], Option<Vec<u8>>) {
    let mut halves = part.splitn(2, |&byte| byte == b'=');
    let name = trim(halves.next().unwrap_or_default());
    (name, halves.next().map(|value| unquoted(trim(value))))
}

fn unquoted(value: &[u8]) -> Vec<u8> {
    let [b'"', inner @ .., b'"'] = value else {
        return value.to_vec();
    };
    let mut escaped = false;
    let mut plain = Vec::with_capacity(inner.len());
    for &byte in inner {
        escaped = byte == b'\\' && !escaped;
        if !escaped {
            plain.push(byte);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{pair, parts, trim, values};

    #[test]
    fn names_are_matched_without_case_and_values_trimmed() {
        let fields = [
            ("Allow".to_owned(), b" GET\t".to_vec()),
            ("allow".to_owned(), b"PUT".to_vec()),
            ("age".to_owned(), b"1".to_vec()),
        ];
        let found: Vec<_> = values(&fields, "allow").collect();
        assert_eq!(found, [&b"GET"[..], b"PUT"]);
    }

    #[test]
    fn only_spaces_and_tabs_are_trimmed() {
        assert_eq!(trim(b" \t\x0b x \t"), b"\x0b x");
        assert_eq!(trim(b" \t "), b"");
    }

    #[test]
    fn a_separator_inside_quotes_separates_nothing() {
        let found: Vec<_> = parts(br#"a="x,\",y", ,b"#, b',').collect();
        assert_eq!(found, [&br#"a="x,\",y""#[..], b"b"]);
    }

    #[test]
    fn quotes_and_escapes_are_removed_from_the_value_of_a_pair() {
        assert_eq!(
            pair(br#"a = "x\"\\""#),
            (&b"a"[..], Some(br#"x"\"#.to_vec()))
        );
        assert_eq!(pair(b"a=\"x"), (&b"a"[..], Some(b"\"x".to_vec())));
        assert_eq!(pair(b"no-store"), (&b"no-store"[..], None));
    }
}
