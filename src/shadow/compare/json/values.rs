//! The store of values: each different value once.

use hashbrown::HashTable;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The number of a value; equal values have equal numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in super::super) struct ValueId(u32);

/// A value, its children by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum Value<'a> {
    Null,
    Bool(bool),
    /// The canonical form that [`super::number`] writes.
    Number(&'a str),
    /// The text, unescaped.
    String(&'a str),
    Array(&'a [ValueId]),
    /// Name (a string value) and value of each member, by ascending number of the name; no name
    /// comes twice.
    Object(&'a [(ValueId, ValueId)]),
    /// An array's element that a rule took.
    Ignored,
}

impl ValueId {
    /// The number itself.
    pub(in super::super) fn number(self) -> u32 {
        self.0
    }
}

/// Where a value's parts lie: `from` and `len` in the list of its kind.
#[derive(Debug, Clone, Copy)]
enum Node {
    Null,
    Bool(bool),
    Number(Span),
    String(Span),
    Array(Span),
    Object(Span),
    Ignored,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    from: u32,
    len: u32,
}

impl Span {
    fn of<T>(self, list: &[T]) -> &[T] {
        let from = self.from as usize;
        let to = from.saturating_add(self.len as usize);
        list.get(from..to).unwrap_or_default()
    }
}

/// All values of the bodies being compared.
///
/// It holds at most `u32::MAX` values and as many bytes of text; [`Values::add`] says when it is
/// full. Memory is about 30 bytes a different value and 4 (in objects 8) a child.
#[derive(Debug)]
pub(in super::super) struct Values {
    nodes: Vec<Node>,
    text: String,
    elements: Vec<ValueId>,
    members: Vec<(ValueId, ValueId)>,
    /// The number of each value, by its hash; the half of the hash beside it spares most looks at
    /// the value itself.
    index: HashTable<(u32, ValueId)>,
    seed: u64,
    asked: u64,
}

impl Values {
    /// An empty store. Whoever can guess `seed` can make values whose hashes meet, which costs time
    /// and nothing else.
    pub(in super::super) fn new(seed: u64) -> Self {
        Self {
            nodes: Vec::new(),
            text: String::new(),
            elements: Vec::new(),
            members: Vec::new(),
            index: HashTable::new(),
            seed,
            asked: 0,
        }
    }

    /// How many values were looked up or added so far.
    pub(in super::super) fn asked(&self) -> u64 {
        self.asked
    }

    /// The value of this number.
    pub(in super::super) fn get(&self, id: ValueId) -> Value<'_> {
        match self.nodes.get(id.0 as usize) {
            None | Some(Node::Null) => Value::Null,
            Some(Node::Bool(value)) => Value::Bool(*value),
            Some(Node::Number(span)) => Value::Number(self.text(*span)),
            Some(Node::String(span)) => Value::String(self.text(*span)),
            Some(Node::Array(span)) => Value::Array(span.of(&self.elements)),
            Some(Node::Object(span)) => Value::Object(span.of(&self.members)),
            Some(Node::Ignored) => Value::Ignored,
        }
    }

    fn text(&self, span: Span) -> &str {
        let from = span.from as usize;
        let to = from.saturating_add(span.len as usize);
        self.text.get(from..to).unwrap_or_default()
    }

    /// The text of a string value, empty for others.
    pub(in super::super) fn string(&self, id: ValueId) -> &str {
        match self.get(id) {
            Value::String(text) => text,
            _ => "",
        }
    }

    /// The number of `value`, which is stored if it is new; `None` if the store is full.
    ///
    /// The members of an object must be in the order that [`Value::Object`] asks for.
    pub(super) fn add(&mut self, value: Value<'_>) -> Option<ValueId> {
        self.asked = self.asked.saturating_add(1);
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        value.hash(&mut hasher);
        let short = (hasher.finish() >> 32) as u32;
        let same = |&(other, id): &(u32, ValueId)| other == short && self.get(id) == value;
        if let Some((_, id)) = self.index.find(spread(short), same) {
            return Some(*id);
        }
        let node = self.store(value)?;
        let id = ValueId(u32::try_from(self.nodes.len()).ok()?);
        self.nodes.push(node);
        self.index
            .insert_unique(spread(short), (short, id), |&(short, _)| spread(short));
        Some(id)
    }

    fn store(&mut self, value: Value<'_>) -> Option<Node> {
        Some(match value {
            Value::Null => Node::Null,
            Value::Bool(value) => Node::Bool(value),
            Value::Ignored => Node::Ignored,
            Value::Number(text) => Node::Number(self.store_text(text)?),
            Value::String(text) => Node::String(self.store_text(text)?),
            Value::Array(elements) => Node::Array(append(&mut self.elements, elements)?),
            Value::Object(members) => Node::Object(append(&mut self.members, members)?),
        })
    }

    fn store_text(&mut self, text: &str) -> Option<Span> {
        let from = u32::try_from(self.text.len()).ok()?;
        let len = u32::try_from(text.len()).ok()?;
        from.checked_add(len)?;
        self.text.push_str(text);
        Some(Span { from, len })
    }
}

fn append<T: Copy>(list: &mut Vec<T>, parts: &[T]) -> Option<Span> {
    let from = u32::try_from(list.len()).ok()?;
    let len = u32::try_from(parts.len()).ok()?;
    from.checked_add(len)?;
    list.extend_from_slice(parts);
    Some(Span { from, len })
}

/// 32 bits of hash over the 64 that the table takes its place and its tag from; the factor is
/// Knuth's, 2^64 by the golden ratio.
fn spread(short: u32) -> u64 {
    u64::from(short).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use super::{Value, Values};

    #[test]
    fn equal_values_have_one_number_and_others_another() {
        let mut values = Values::new(1);
        let one = values.add(Value::Number("1")).unwrap();
        let text = values.add(Value::String("1")).unwrap();
        let list = values.add(Value::Array(&[one, text])).unwrap();
        assert_ne!(one, text);
        assert_eq!(values.add(Value::Number("1")), Some(one));
        assert_eq!(values.add(Value::Array(&[one, text])), Some(list));
        assert_ne!(values.add(Value::Array(&[text, one])), Some(list));
        assert_ne!(
            values.add(Value::Array(&[])),
            values.add(Value::Object(&[]))
        );
        assert_eq!(values.get(list), Value::Array(&[one, text]));
    }

    #[test]
    fn the_numbers_do_not_depend_on_the_seed() {
        let numbers = |seed| {
            let mut values = Values::new(seed);
            (0..5_000)
                .map(|n| values.add(Value::String(&(n % 700).to_string())).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers(1), numbers(2));
    }
}
