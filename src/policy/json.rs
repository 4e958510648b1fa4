//! JSON text into a [`Node`]: the form in which the filter is handed its policy.

use super::problem::Refusal;
use super::tree::{Node, Value};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The longest policy that is read, in bytes. Five hundred full routes take about a quarter of it;
/// past it a mistake (a whole bundle pasted in) is likelier than a policy.
pub const LONGEST: usize = 4 * 1024 * 1024;

/// Reads `text`.
///
/// # Errors
/// Says where the text stops being JSON, or that it is no text at all: a protobuf `Struct`, which
/// raw Envoy hands over in binary form, is told apart and named.
pub fn read(text: &[u8]) -> Result<Node, Refusal> {
    if text.len() > LONGEST {
        return Err(Refusal::whole(
            0,
            format!("it has {} bytes and the limit is {LONGEST}", text.len()),
            "split it over several filters",
        ));
    }
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(Refusal::whole(
            0,
            "there is no policy",
            "give the filter a `configuration`: a StringValue that holds the policy as JSON",
        ));
    }
    if text
        .iter()
        .any(|byte| *byte < b' ' && !byte.is_ascii_whitespace())
    {
        return Err(Refusal::whole(
            0,
            "it is binary: Envoy hands a google.protobuf.Struct over in protobuf's own form",
            "write `configuration: {\"@type\": type.googleapis.com/google.protobuf.StringValue, \
             value: …}` with the policy as JSON text (`serinus check --json` prints it)",
        ));
    }
    serde_json::from_slice(text).map_err(|error| {
        Refusal::whole(
            u32::try_from(error.line()).unwrap_or(0),
            format!("it is not JSON: {error}"),
            "`serinus check --json` turns YAML into JSON",
        )
    })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let value = input.deserialize_any(AnyValue)?;
        Ok(Self { line: 0, value })
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Fraction(value as f64), Value::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(Value::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_double_is_an_integer() {
        let node = read(b"{\"a\": 65536.0, \"b\": 0.5}").unwrap();
        assert_eq!(node.member("a").unwrap().value, Value::Integer(65536));
        assert_eq!(node.member("b").unwrap().value, Value::Fraction(0.5));
    }

    #[test]
    fn a_protobuf_struct_is_refused_with_the_sentence_that_helps() {
        let refusal = read(b"\n\x0c\n\x04name\x12\x04\x1a\x02hi").unwrap_err();
        assert!(refusal.to_string().contains("StringValue"), "{refusal}");
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_overflow() {
        let refusal = read("[".repeat(100_000).as_bytes()).unwrap_err();
        assert!(refusal.to_string().contains("recursion"), "{refusal}");
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        assert!(read(b" \n").unwrap_err().to_string().contains("no policy"));
        let long = vec![b' '; LONGEST + 1];
        assert!(read(&long).unwrap_err().to_string().contains("limit"));
    }

    #[test]
    fn a_key_given_twice_is_kept_twice() {
        let Value::Object(members) = read(b"{\"a\":1,\"a\":2}").unwrap().value else {
            panic!("an object was read");
        };
        assert_eq!(members.len(), 2);
    }
}
