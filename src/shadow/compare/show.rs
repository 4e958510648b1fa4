//! A value as a short text for people: compact JSON, cut off at a bound.

use super::json::{Value, ValueId, Values, readable};

enum Piece {
    Value(ValueId),
    Text(&'static str),
}

/// The JSON text of a value, at most about `limit` bytes; `…` at the end says that there was more.
pub(super) fn shown(value: ValueId, values: &Values, limit: usize) -> String {
    let mut text = String::new();
    let mut left = vec![Piece::Value(value)];
    while let Some(piece) = left.pop() {
        if text.len() >= limit {
            text.push('…');
            break;
        }
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Value(value) => match values.get(value) {
                Value::Null => text.push_str("null"),
                Value::Bool(value) => text.push_str(if value { "true" } else { "false" }),
                Value::Ignored => text.push_str("(ignored)"),
                Value::Number(number) => text.push_str(&shortened(&readable(number), limit)),
                Value::String(string) => quote(string, limit, &mut text),
                // More children than bytes can't be shown.
                Value::Array(elements) => {
                    text.push('[');
                    let children = elements
                        .iter()
                        .take(limit)
                        .map(|&child| [Piece::Value(child)]);
                    push_children(children, "]", &mut left);
                }
                Value::Object(members) => {
                    text.push('{');
                    let pair = |&(name, value): &(ValueId, ValueId)| {
                        [Piece::Value(name), Piece::Text(":"), Piece::Value(value)]
                    };
                    push_children(members.iter().take(limit).map(pair), "}", &mut left);
                }
            },
        }
    }
    text
}

fn push_children<const N: usize>(
    children: impl Iterator<Item = [Piece; N]>,
    end: &'static str,
    left: &mut Vec<Piece>,
) {
    let from = left.len();
    for child in children {
        if left.len() > from {
            left.push(Piece::Text(","));
        }
        left.extend(child);
    }
    left.push(Piece::Text(end));
    left.get_mut(from..).unwrap_or_default().reverse();
}

fn quote(string: &str, limit: usize, text: &mut String) {
    text.push('"');
    for character in shortened(string, limit).chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            _ if character.is_control() => text.extend(character.escape_unicode()),
            _ => text.push(character),
        }
    }
    text.push('"');
}

/// `text` cut off at `limit` bytes.
pub(super) fn shortened(text: &str, limit: usize) -> String {
    let end = text.floor_char_boundary(limit);
    match text.get(..end) {
        Some(start) if end < text.len() => format!("{start}…"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ignore::IgnoreRules;
    use super::super::json::{Values, parse};
    use super::shown;

    fn show(json: &str, limit: usize) -> String {
        let mut values = Values::new(0);
        let none = IgnoreRules::default();
        let value = parse(json.as_bytes(), &none, &mut values, 1_000_000).unwrap();
        shown(value, &values, limit)
    }

    #[test]
    fn a_short_value_is_shown_whole() {
        let json = r#"{"a":[1.5,-200,null,true],"b":{"c":"x\"y"},"d":[],"e":{}}"#;
        assert_eq!(show(json, 100), json);
    }

    #[test]
    fn a_long_value_is_cut_off() {
        assert_eq!(show("[1,2,3,4]", 4), "[1,2…");
        assert_eq!(show("\"aaéaa\"", 3), "\"aa…\"");
        assert!(show(&format!("[{}1]", "1,".repeat(10_000)), 20).len() < 40);
        assert!(show(&format!("{}1{}", "[".repeat(500), "]".repeat(500)), 20).len() < 40);
    }
}
