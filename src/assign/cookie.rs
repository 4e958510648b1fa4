//! Issued cookies: a key for callers that have none.
//!
//! The value is a random id of 128 bits as 32 hexadecimal digits: nobody guesses another's, and two
//! callers do not meet. It is drawn with on the very request that gets it, so the first answer
//! already comes from the side that the caller stays on. A value of any other form is not ours and
//! is issued anew. A caller can invent an id of this form: an issued cookie makes callers sticky, it
//! does not keep a curious one out of the canary.

use super::read;
use crate::request::Request;
use std::fmt::Write;

/// Digits of an id: 128 bits in hexadecimal.
const DIGITS: usize = 32;

/// A cookie that the filter gives out, and its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueCookie {
    /// Its name.
    pub name: String,
    /// The attributes as they stand behind the value, from `; Max-Age` on.
    pub attributes: String,
}

/// The attributes of an issued cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes<'p> {
    /// How long a browser keeps it, in milliseconds; whole seconds are written.
    pub max_age: u64,
    /// For which paths.
    pub path: &'p str,
    /// For which domain; empty for the host alone.
    pub domain: &'p str,
    /// Over TLS alone.
    pub secure: bool,
    /// Hidden from scripts.
    pub http_only: bool,
    /// `Strict`, `Lax` or `None`.
    pub same_site: &'p str,
}

/// An id, newly drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id([u8; DIGITS]);

impl Id {
    /// The id of 128 random bits.
    pub fn of(random: [u8; 16]) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let digit = |half: u8| HEX.get(usize::from(half & 15)).copied().unwrap_or(b'0');
        let mut digits = [b'0'; DIGITS];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(random) {
            if let [high, low] = pair {
                *high = digit(byte >> 4);
                *low = digit(byte);
            }
        }
        Self(digits)
    }

    /// Its digits, the key to draw with.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl IssueCookie {
    /// A cookie named `name` with these attributes.
    pub fn new(name: &str, attributes: &Attributes<'_>) -> Self {
        let mut text = String::new();
        let seconds = attributes.max_age.checked_div(1000).unwrap_or(0);
        let _ = write!(text, "; Max-Age={seconds}; Path={}", attributes.path);
        if !attributes.domain.is_empty() {
            let _ = write!(text, "; Domain={}", attributes.domain);
        }
        if attributes.secure {
            text.push_str("; Secure");
        }
        if attributes.http_only {
            text.push_str("; HttpOnly");
        }
        let _ = write!(text, "; SameSite={}", attributes.same_site);
        Self {
            name: name.to_owned(),
            attributes: text,
        }
    }

    /// The id that the caller holds: the first cookie of this name that is well-formed.
    #[inline(never)]
    pub fn held<'r>(&self, request: &Request<'r>) -> Option<&'r [u8]> {
        read::cookie::all(request, &self.name).find(|value| well_formed(value))
    }

    /// The value of the `set-cookie` header that gives out `id`.
    pub fn header(&self, id: &Id) -> Vec<u8> {
        let mut header = Vec::with_capacity(128);
        header.extend_from_slice(self.name.as_bytes());
        header.push(b'=');
        header.extend_from_slice(id.as_bytes());
        header.extend_from_slice(self.attributes.as_bytes());
        header
    }
}

fn well_formed(value: &[u8]) -> bool {
    value.len() == DIGITS
        && value
            .iter()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assign::testing::with_request;

    const ATTRIBUTES: Attributes<'static> = Attributes {
        max_age: 2_592_000_999,
        path: "/",
        domain: "",
        secure: true,
        http_only: true,
        same_site: "Lax",
    };

    #[test]
    fn the_header_has_the_attributes_of_the_policy() {
        let id = Id::of([0xab; 16]);
        let header = |attributes: &Attributes<'_>| {
            String::from_utf8(IssueCookie::new("serinus", attributes).header(&id)).unwrap()
        };
        let value = "ab".repeat(16);
        assert_eq!(
            header(&ATTRIBUTES),
            format!("serinus={value}; Max-Age=2592000; Path=/; Secure; HttpOnly; SameSite=Lax")
        );
        let other = Attributes {
            max_age: 60_000,
            path: "/shop",
            domain: "example.com",
            secure: false,
            http_only: false,
            same_site: "Strict",
        };
        assert_eq!(
            header(&other),
            format!("serinus={value}; Max-Age=60; Path=/shop; Domain=example.com; SameSite=Strict")
        );
    }

    #[test]
    fn only_a_well_formed_id_is_held() {
        let cookie = IssueCookie::new("serinus", &ATTRIBUTES);
        let good = "0123456789abcdef".repeat(2);
        for (value, held) in [
            (good.as_str(), true),
            ("", false),
            ("0123", false),
            (&good.to_uppercase(), false),
            (&format!("{good}0"), false),
            (&format!("\"{good}\""), false),
            (&good.replace('0', "g"), false),
        ] {
            let line = format!("a=b; serinus={value}");
            let found = with_request("GET", "/", &[("cookie", &line)], |r| {
                cookie.held(r).is_some()
            });
            assert_eq!(found, held, "{value}");
        }
    }

    #[test]
    fn an_id_that_was_issued_is_held() {
        let cookie = IssueCookie::new("serinus", &ATTRIBUTES);
        let id = Id::of([7, 1, 255, 0, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 16, 32]);
        let line = format!("serinus={}", String::from_utf8_lossy(id.as_bytes()));
        let held = with_request("GET", "/", &[("cookie", &line)], |request| {
            cookie.held(request) == Some(id.as_bytes())
        });
        assert!(held);
    }
}
