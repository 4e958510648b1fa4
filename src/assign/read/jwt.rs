//! A claim of a JSON Web Token. It is read and not verified: that is the business of a filter in
//! front of this one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

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
    let claims: Value = serde_json::from_slice(&json).ok()?;
    match claims.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_u64() || number.is_i64() => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
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
