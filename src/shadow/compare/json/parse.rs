//! RFC 8259, strictly, without recursion.
//!
//! The containers that are open lie on a stack of at most [`MAX_DEPTH`], their finished children on
//! two others, so that closing a container takes a slice. One look at each byte; the time is linear
//! but for the sorting of each object's members by number.

use super::super::ignore::{IgnoreRules, Step, Trail};
use super::cursor::{Cursor, is_space};
use super::values::{Value, ValueId, Values};
use super::{Refused, number};

/// As many arrays and objects may be open at once; one more is not JSON to us.
const MAX_DEPTH: usize = 512;

/// Reads one JSON text of at most `limit` values. One byte order mark at the start is dropped.
pub(in super::super) fn parse(
    text: &[u8],
    rules: &IgnoreRules,
    values: &mut Values,
    limit: usize,
) -> Result<ValueId, Refused> {
    let text = utf8(text)?;
    let mut parser = Parser::new(rules, values, limit);
    parser.document(text)
}

/// Reads a JSON text a line as one array; lines of white space are left out.
pub(in super::super) fn parse_lines(
    text: &[u8],
    rules: &IgnoreRules,
    values: &mut Values,
    limit: usize,
) -> Result<ValueId, Refused> {
    let text = utf8(text)?;
    let mut parser = Parser::new(rules, values, limit);
    let mut lines = Vec::new();
    for line in text.split('\n') {
        if line.bytes().all(is_space) {
            continue;
        }
        parser.trail.enter(Step::Element(lines.len()));
        let mut value = parser.document(line)?;
        if parser.trail.leave() {
            value = parser.add(Value::Ignored)?;
        }
        lines.push(value);
    }
    parser
        .values
        .add(Value::Array(&lines))
        .ok_or(Refused::TooLarge)
}

fn utf8(text: &[u8]) -> Result<&str, Refused> {
    let text = std::str::from_utf8(text).map_err(|_| Refused::NotJson)?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// A container that is open: where its children begin on their stack.
#[derive(Debug, Clone, Copy)]
enum Frame {
    Array { from: usize },
    Object { from: usize, name: ValueId },
}

/// What follows a finished value.
enum After {
    /// Another value.
    Value,
    /// The end of its container, which is the next finished value.
    Closed(ValueId),
    /// The end of the text.
    End,
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    frames: Vec<Frame>,
    elements: Vec<ValueId>,
    members: Vec<(ValueId, ValueId)>,
    /// Unescaped strings and canonical numbers are written here.
    scratch: String,
    trail: Trail<'a>,
    values: &'a mut Values,
    /// How many values may still be read.
    left: usize,
}

impl<'a> Parser<'a> {
    fn new(rules: &'a IgnoreRules, values: &'a mut Values, limit: usize) -> Self {
        Self {
            cursor: Cursor::new(""),
            frames: Vec::new(),
            elements: Vec::new(),
            members: Vec::new(),
            scratch: String::new(),
            trail: Trail::new(rules),
            values,
            left: limit,
        }
    }

    /// Reads `text` from its first byte to its last.
    fn document(&mut self, text: &'a str) -> Result<ValueId, Refused> {
        self.cursor = Cursor::new(text);
        loop {
            let Some(mut value) = self.value()? else {
                continue;
            };
            loop {
                match self.finish(value)? {
                    After::Value => break,
                    After::Closed(container) => value = container,
                    After::End => return Ok(value),
                }
            }
        }
    }

    fn add(&mut self, value: Value<'_>) -> Result<ValueId, Refused> {
        self.values.add(value).ok_or(Refused::TooLarge)
    }

    /// Reads a value at the present place; `None` if that opened a container with a first child.
    fn value(&mut self) -> Result<Option<ValueId>, Refused> {
        self.left = self.left.checked_sub(1).ok_or(Refused::TooLarge)?;
        self.cursor.space();
        let (word, value) = match self.cursor.peek() {
            Some(b'"') => return self.string().map(Some),
            Some(b'-' | b'0'..=b'9') => return self.number().map(Some),
            Some(b'{') => return self.open_object(),
            Some(b'[') => return self.open_array(),
            Some(b't') => ("true", Value::Bool(true)),
            Some(b'f') => ("false", Value::Bool(false)),
            Some(b'n') => ("null", Value::Null),
            _ => return Err(Refused::NotJson),
        };
        self.cursor.expect(word)?;
        self.add(value).map(Some)
    }

    fn open(&mut self) -> Result<(), Refused> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(Refused::NotJson);
        }
        self.cursor.skip(1);
        self.cursor.space();
        Ok(())
    }

    fn open_array(&mut self) -> Result<Option<ValueId>, Refused> {
        self.open()?;
        if self.cursor.peek() == Some(b']') {
            self.cursor.skip(1);
            return self.add(Value::Array(&[])).map(Some);
        }
        self.frames.push(Frame::Array {
            from: self.elements.len(),
        });
        self.trail.enter(Step::Element(0));
        Ok(None)
    }

    fn open_object(&mut self) -> Result<Option<ValueId>, Refused> {
        self.open()?;
        if self.cursor.peek() == Some(b'}') {
            self.cursor.skip(1);
            return self.add(Value::Object(&[])).map(Some);
        }
        let name = self.name()?;
        self.frames.push(Frame::Object {
            from: self.members.len(),
            name,
        });
        Ok(None)
    }

    /// Reads a member's name and the colon.
    fn name(&mut self) -> Result<ValueId, Refused> {
        self.cursor.space();
        if self.cursor.peek() != Some(b'"') {
            return Err(Refused::NotJson);
        }
        let name = self.string()?;
        self.trail.enter(Step::Member(self.values.string(name)));
        self.cursor.space();
        self.cursor.expect(":")?;
        Ok(name)
    }

    /// Hands a finished value to its container, and reads what follows it.
    fn finish(&mut self, value: ValueId) -> Result<After, Refused> {
        self.cursor.space();
        match self.frames.pop() {
            None if self.cursor.peek().is_none() => Ok(After::End),
            None => Err(Refused::NotJson),
            Some(Frame::Array { from }) => self.finish_element(from, value),
            Some(Frame::Object { from, name }) => self.finish_member(from, name, value),
        }
    }

    fn finish_element(&mut self, from: usize, mut value: ValueId) -> Result<After, Refused> {
        if self.trail.leave() {
            value = self.add(Value::Ignored)?;
        }
        self.elements.push(value);
        let next = self.cursor.peek();
        self.cursor.skip(1);
        match next {
            Some(b',') => {
                let index = self.elements.len().saturating_sub(from);
                self.trail.enter(Step::Element(index));
                self.frames.push(Frame::Array { from });
                Ok(After::Value)
            }
            Some(b']') => {
                let elements = self.elements.get(from..).unwrap_or_default();
                let array = self.values.add(Value::Array(elements));
                self.elements.truncate(from);
                Ok(After::Closed(array.ok_or(Refused::TooLarge)?))
            }
            _ => Err(Refused::NotJson),
        }
    }

    fn finish_member(
        &mut self,
        from: usize,
        name: ValueId,
        value: ValueId,
    ) -> Result<After, Refused> {
        if !self.trail.leave() {
            self.members.push((name, value));
        }
        let next = self.cursor.peek();
        self.cursor.skip(1);
        match next {
            Some(b',') => {
                let name = self.name()?;
                self.frames.push(Frame::Object { from, name });
                Ok(After::Value)
            }
            Some(b'}') => {
                keep_last(&mut self.members, from);
                let members = self.members.get(from..).unwrap_or_default();
                let object = self.values.add(Value::Object(members));
                self.members.truncate(from);
                Ok(After::Closed(object.ok_or(Refused::TooLarge)?))
            }
            _ => Err(Refused::NotJson),
        }
    }

    fn string(&mut self) -> Result<ValueId, Refused> {
        let text = self.cursor.string(&mut self.scratch)?;
        self.values
            .add(Value::String(text))
            .ok_or(Refused::TooLarge)
    }

    fn number(&mut self) -> Result<ValueId, Refused> {
        let number = self.cursor.number()?;
        self.scratch.clear();
        number::canonical(number, &mut self.scratch);
        let number = Value::Number(&self.scratch);
        self.values.add(number).ok_or(Refused::TooLarge)
    }
}

/// Equal names stay as they come.
fn sort_by_name(object: &mut [(ValueId, ValueId)]) {
    // A body has at most 2^20 values, so a name and a place fit one number.
    let places = object.iter().zip(0_u64..);
    let mut order: Vec<u64> = places
        .map(|((name, _), place)| u64::from(name.number()) << 32 | place)
        .collect();
    order.sort_unstable();
    let members = object.to_vec();
    let sorted = order.iter().filter_map(|packed| {
        let place = usize::try_from(packed & u64::from(u32::MAX)).ok()?;
        members.get(place)
    });
    for (to, member) in object.iter_mut().zip(sorted) {
        *to = *member;
    }
}

/// Sorts the members from `from` on by name, and keeps the last of each name.
fn keep_last(members: &mut Vec<(ValueId, ValueId)>, from: usize) {
    let object = members.get_mut(from..).unwrap_or_default();
    if object.is_sorted_by(|a, b| a.0 < b.0) {
        return;
    }
    sort_by_name(object);
    let mut kept: usize = 0;
    for at in 0..object.len() {
        let Some(&member) = object.get(at) else { break };
        let next = object.get(at.saturating_add(1));
        if next.is_none_or(|next| next.0 != member.0) {
            if let Some(place) = object.get_mut(kept) {
                *place = member;
            }
            kept = kept.saturating_add(1);
        }
    }
    members.truncate(from.saturating_add(kept));
}

#[cfg(test)]
mod tests {
    use super::{IgnoreRules, Refused, Value, ValueId, Values, parse, parse_lines};
    use proptest::prelude::*;

    fn read(text: &[u8], values: &mut Values) -> Result<ValueId, Refused> {
        parse(text, &IgnoreRules::default(), values, 1_000_000)
    }

    fn equal(left: &str, right: &str) -> bool {
        let mut values = Values::new(0);
        read(left.as_bytes(), &mut values).unwrap() == read(right.as_bytes(), &mut values).unwrap()
    }

    fn refused(text: &[u8]) -> bool {
        read(text, &mut Values::new(0)) == Err(Refused::NotJson)
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            " ",
            "nul",
            "nulll",
            "NaN",
            "Infinity",
            "-",
            "01",
            "-01",
            "+1",
            "1.",
            ".5",
            "1e",
            "1e+",
            "0x1",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[",
            "]",
            "{",
            "}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{1:2}",
            "{'a':1}",
            "[1}",
            "{\"a\":1]",
            "\"",
            "\"\\x\"",
            "\"\t\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\u+123\"",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "\"\\ud800\\ud800\"",
            "\"\\ud800x\"",
            "1 2",
            "1//x",
            "/**/1",
            "\u{feff}\u{feff}1",
            "\u{c}1",
            "\u{a0}1",
            "[1]]",
        ] {
            assert!(refused(text.as_bytes()), "{text}");
        }
        for text in [
            &b"\"\xe9\""[..],
            b"\"\xc0\xaf\"",
            b"\"\xed\xa0\x80\"",
            b"\"\xf4\x90\x80\x80\"",
        ] {
            assert!(refused(text), "{text:?}");
        }
    }

    #[test]
    fn spellings_of_one_value_are_equal() {
        for (left, right) in [
            ("\u{feff} 1 \r\n", "1.0"),
            (
                r#""\u00e9\/\ud83d\ude00\b\f\n\r\t\"\\""#,
                "\"é/😀\\u0008\\u000c\\u000a\\u000D\\u0009\\u0022\\u005C\"",
            ),
            (r#"{"a":1,"b":[],"a":2}"#, r#"{ "b" : [ ] , "\u0061" : 2 }"#),
            (r#"{"a":{"x":1},"a":{"y":1}}"#, r#"{"a":{"y":1}}"#),
            ("[[],{},[{}]]", " [ [ ] , { } , [ { } ] ] "),
        ] {
            assert!(equal(left, right), "{left}");
        }
        for (left, right) in [
            ("\"é\"", "\"e\u{301}\""),
            ("[1,2]", "[2,1]"),
            ("null", "false"),
            ("\"1\"", "1"),
        ] {
            assert!(!equal(left, right), "{left}");
        }
    }

    #[test]
    fn nesting_parses_to_512_levels() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
            let levels = open.matches(['[', '{']).count();
            let nested = |times: usize| open.repeat(times) + "1" + &close.repeat(times);
            assert!(!refused(nested(512 / levels).as_bytes()));
            assert!(refused(nested(512 / levels + 1).as_bytes()));
        }
        assert!(!refused(("[".repeat(512) + &"]".repeat(512)).as_bytes()));
        assert!(refused(("[".repeat(513) + &"]".repeat(513)).as_bytes()));
        assert!(refused("[".repeat(1_000_000).as_bytes()));
    }

    #[test]
    fn more_values_than_the_bound_are_too_large() {
        let rules = IgnoreRules::default();
        let read = |limit| parse(b"[1,{\"a\":2}]", &rules, &mut Values::new(0), limit);
        assert_eq!(read(3), Err(Refused::TooLarge));
        assert!(read(4).is_ok());
    }

    #[test]
    fn ignored_members_are_gone_and_ignored_elements_stay_in_place() {
        let rules = IgnoreRules::new(["/a", "/l/1", "/**/ts"]).unwrap();
        let mut values = Values::new(0);
        let text = br#"{"a":[1],"l":[0,{"x":1},{"ts":1,"v":2}],"ts":{"v":1},"b":3}"#;
        let found = parse(text, &rules, &mut values, 100).unwrap();
        let Value::Object(members) = values.get(found) else {
            panic!()
        };
        let names: Vec<_> = members
            .iter()
            .map(|&(name, _)| values.string(name))
            .collect();
        assert_eq!(names, ["l", "b"]);
        let Value::Array(elements) = values.get(members[0].1) else {
            panic!()
        };
        assert_eq!(values.get(elements[0]), Value::Number("0"));
        assert_eq!(values.get(elements[1]), Value::Ignored);
        let Value::Object(kept) = values.get(elements[2]) else {
            panic!()
        };
        assert_eq!(kept.len(), 1);
    }

    #[test]
    fn lines_are_an_array_in_which_blank_ones_do_not_count() {
        let none = IgnoreRules::default();
        let first = IgnoreRules::new(["/0/a", "/2"]).unwrap();
        let mut values = Values::new(0);
        let mut read = |text: &str, rules| parse_lines(text.as_bytes(), rules, &mut values, 100);
        let array = read("[1,{\"a\":2}]", &none);
        let lines = read("\u{feff}1\r\n \t\r\n\n{\"a\":2}\n", &none).unwrap();
        assert_ne!(array.unwrap(), lines);
        assert_eq!(read("1\n{\"a\":2}", &none), Ok(lines));
        assert_eq!(read("1\n{\"a\"\n:2}", &none), Err(Refused::NotJson));
        assert_eq!(read("1 2", &none), Err(Refused::NotJson));
        let shorter = read("{\"a\":1}\n2\n3", &first).unwrap();
        assert_eq!(read("{}\n2\n4", &first), Ok(shorter));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_no_harm(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&text, &mut Values::new(0));
        }

        #[test]
        fn near_json_is_accepted_when_serde_accepts_it(
            text in r#"[\[\]{}:,"0-9eE.+\-ntrufalse\\ \t]{0,24}"#
        ) {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(read(text.as_bytes(), &mut Values::new(0)).is_ok(), theirs, "{}", text);
        }
    }
}
