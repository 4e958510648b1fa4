//! JSON bodies as shared values: two values are equal exactly if they have the same number.
//!
//! Why no crate parses them. The comparison needs, all at once: numbers of any length and exponent
//! by their exact value, the last of several members of one name, refusal of lone surrogates, a
//! nesting bound without recursion, and a bound on memory. `serde_json` recurses, and keeps exact
//! numbers only as unread text behind a feature that changes every other user of it in the build;
//! the tape parsers round numbers or take the first duplicate, and need SIMD to be worth it.
//!
//! The method is hash-consing (Ershov 1958): while it reads, the parser looks every finished value
//! up among those that it has seen in either body, and a container is written as the numbers of
//! its children. So equality of any two nodes costs one integer comparison, equal subtrees are
//! skipped at once, two arrays are equal as multisets if their sorted numbers are, and a value that
//! comes a thousand times is stored once. It is exact: a hash only leads to the candidates.
//!
//! Ignore rules are applied while reading, before there is a value: an ignored member is never
//! added to its object, and an ignored element is the one value [`Value::Ignored`].

mod cursor;
mod number;
mod parse;
mod values;

pub(super) use number::readable;
pub(super) use parse::{parse, parse_lines};
pub(super) use values::{Value, ValueId, Values};

/// Why a text gave no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not JSON.
    NotJson,
    /// It has more values than the bound, or than the store can hold.
    TooLarge,
}
