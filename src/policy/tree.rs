//! A policy's text as a tree, the same for JSON and YAML.
//!
//! Our own tree and not `serde_json::Value`, for three reasons: it keeps the line of each node (so
//! that `serinus check` can name it), it keeps a key that is there twice (which must be refused,
//! where a map would let the last one win), and YAML and JSON read into the same shape.

use super::problem::Step;

/// A node and the line it begins on (from 1; 0 where lines mean nothing, as in the filter).
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The line.
    pub line: u32,
    /// What stands there.
    pub value: Value,
}

/// What can stand at a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, or nothing at all in YAML.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without a fraction; `65536.0` is one too.
    Integer(i64),
    /// Any other number.
    Fraction(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// An object; a key may be there twice.
    Object(Vec<(String, Node)>),
}

impl Value {
    /// A number: whole ones become [`Value::Integer`], since Istio and protobuf hand over integers
    /// as doubles.
    pub fn number(number: f64) -> Self {
        // 2^53: past it a double no longer holds every integer.
        const WHOLE: f64 = 9_007_199_254_740_992.0;
        if number.fract() == 0.0 && number.abs() <= WHOLE {
            #[allow(clippy::cast_possible_truncation)]
            return Self::Integer(number as i64);
        }
        Self::Fraction(number)
    }

    /// What a message calls this.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) | Self::Fraction(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl Node {
    /// The member `key` of an object.
    pub fn member(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Object(members) => members
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, node)| node),
            _ => None,
        }
    }

    /// The elements of a list; none for anything else.
    pub fn elements(&self) -> &[Self] {
        match &self.value {
            Value::List(elements) => elements,
            _ => &[],
        }
    }

    /// The text of a text node.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The tree as one line of JSON.
    #[cfg(feature = "cli")]
    pub fn to_json(&self) -> String {
        fn value(node: &Node) -> serde_json::Value {
            match &node.value {
                Value::Null => serde_json::Value::Null,
                Value::Bool(value) => (*value).into(),
                Value::Integer(value) => (*value).into(),
                Value::Fraction(value) => (*value).into(),
                Value::Text(text) => text.as_str().into(),
                Value::List(elements) => elements.iter().map(value).collect(),
                Value::Object(members) => {
                    let members = members.iter().map(|(key, node)| (key.clone(), value(node)));
                    serde_json::Value::Object(members.collect())
                }
            }
        }
        value(self).to_string()
    }

    /// The line of the deepest node along `path` that is there.
    pub fn line_of(&self, path: &[Step]) -> u32 {
        let mut node = self;
        for step in path {
            let next = match step {
                Step::Key(key) => node.member(key),
                Step::Index(index) => node.elements().get(*index),
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node.line
    }
}
