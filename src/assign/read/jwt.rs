//! A claim of a JSON Web Token. It is read and not verified: that is the business of a filter in
//! front of this one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The longest payload that is decoded, in base64 characters. Header limits of proxies (60 KiB in
/// Envoy) let longer tokens in; a token of an identity provider is a tenth of this.
const LONGEST: usize = 16 * 1024;

/// The claim `name` of the token in `header`, which may begin with `Bearer`: text as it is, whole
/// numbers in decimal, booleans by name. Anything else is absent, as is a claim below the top
/// level.
pub fn claim(header: &[u8], name: &str) -> Option<String> {
    let header = header.trim_ascii();
    let token = match header.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer ") => rest.trim_ascii(),
        _ => header,
    };
    let mut parts = token.split(|byte| *byte == b'.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || payload.len() > LONGEST {
        return None;
    }
    let unpadded = payload.iter().rposition(|byte| *byte != b'=')?;
    let json = URL_SAFE_NO_PAD.decode(payload.get(..=unpadded)?).ok()?;
    let mut reader = serde_json::Deserializer::from_slice(&json);
    let claim = Reading::Claims(name).deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    claim
}

/// Reads an object for the claim of this name, or one claim as text, if it is of a kind that is;
/// of a name that is there twice the last counts.
///
/// One visitor for both, and one that takes whatever comes: a tree of all claims would cost 20 kB of
/// the filter for numbers that are not whole, and serde's complaints of a wrong type 15 kB.
#[derive(Clone, Copy)]
enum Reading<'n> {
    Claims(&'n str),
    Claim,
}

impl Reading<'_> {
    /// What a value is that is no object: the claim, if this reads one.
    fn value(self, text: impl FnOnce() -> String) -> Option<String> {
        match self {
            Self::Claims(_) => None,
            Self::Claim => Some(text()),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.value(|| text.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(self.value(|| value.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(self.value(|| number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(self.value(|| number.to_string()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = members.next_key::<String>()? {
            match self {
                Self::Claims(wanted) if name == wanted => {
                    found = members.next_value_seed(Self::Claim)?;
                }
                Self::Claims(_) | Self::Claim => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn claims_are_text_whole_numbers_and_booleans() {
        for (payload, value) in [
            (r#"{"sub":"anna"}"#, Some("anna")),
            (r#"{"sub":42}"#, Some("42")),
            (r#"{"sub":true}"#, Some("true")),
            (r#"{"sub":""}"#, Some("")),
            (r#"{"sub":1.5}"#, None),
            (r#"{"sub":null}"#, None),
            (r#"{"sub":1e400}"#, None),
            (r#"{"sub":{"a":1},"sub":"b","c":[1.5,{}]}"#, Some("b")),
            (r#"{"sub":"b"} x"#, None),
            (r#"{"s\u0075b":"b"}"#, Some("b")),
            (r#"{"sub":["anna"]}"#, None),
            (r#"{"other":"anna"}"#, None),
            (r#"["sub"]"#, None),
            ("not json", None),
        ] {
            let found = claim(token(payload).as_bytes(), "sub");
            assert_eq!(found.as_deref(), value, "{payload}");
        }
    }

    #[test]
    fn a_token_comes_with_or_without_bearer_and_padding() {
        let token = token(r#"{"sub":"anna"}"#);
        for header in [
            format!("Bearer {token}"),
            format!("bearer   {token} "),
            token.replacen(".c2ln", "=.c2ln", 1),
        ] {
            assert_eq!(claim(header.as_bytes(), "sub").as_deref(), Some("anna"));
        }
    }

    #[test]
    fn what_is_no_token_has_no_claim() {
        let long = format!("e30.{}.x", "A".repeat(LONGEST + 1));
        for header in [
            "", "Bearer ", "a.b", "a.b.c.d", "..", "a.===.c", "a.!!!.c", &long,
        ] {
            assert_eq!(claim(header.as_bytes(), "sub"), None, "{header:.20}");
        }
        assert_eq!(claim(b"\xff\xfe.\xff.\xff", "sub"), None);
    }
}
