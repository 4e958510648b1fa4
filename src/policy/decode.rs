//! Reads a [`Node`] into the raw types of the policy, and never stops at the first problem.
//!
//! Own and not serde's derive: serde ends at the first error, and its messages name Rust types
//! where a policy's author wants to hear what to write. The `record!` macro makes the struct, its
//! reader and (through schemars) its JSON Schema out of one list of fields, so that none of the
//! three can drift from the others.

use super::problem::Problems;
use super::tree::{Node, Value};
use crate::sorted::sorted;
use crate::text::{number, printable};

/// The longest list that is read anywhere in a policy; far above what any part of it can use, so
/// that a longer one is a mistake.
pub const LONGEST_LIST: usize = 2000;

/// Something that a node can be read into.
pub trait Decode: Sized {
    /// Reads `node`; problems go to `problems`, and `None` says that there was one.
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self>;

    /// What an absent member means; a problem unless the type is an [`Option`].
    fn absent(key: &str, problems: &mut Problems) -> Option<Self> {
        problems.say(format!("`{key}` is missing"), format!("add `{key}`"));
        None
    }

    /// What stands in for a member that could not be read, so that the rest is still checked.
    fn broken() -> Option<Self> {
        None
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        T::decode(node, problems).map(Some)
    }

    fn absent(_key: &str, _problems: &mut Problems) -> Option<Self> {
        Some(None)
    }

    fn broken() -> Option<Self> {
        Some(None)
    }
}

/// A list whose broken elements are left out while the others keep their places.
#[derive(Debug, Clone, PartialEq)]
pub struct List<T>(
    /// The elements and where each stood, from 0.
    pub Vec<(usize, T)>,
);

#[cfg(feature = "cli")]
impl<T: schemars::JsonSchema> schemars::JsonSchema for List<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        <Vec<T>>::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        <Vec<T>>::json_schema(generator)
    }
}

impl<T: Decode> Decode for List<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let mut kept = Vec::new();
        each(node, problems, &mut |index, element, problems| {
            kept.extend(T::decode(element, problems).map(|element| (index, element)));
        })
        .then_some(Self(kept))
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        T::decode(node, problems).map(Box::new)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let List(kept) = List::decode(node, problems)?;
        let is_whole = matches!(&node.value, Value::List(all) if all.len() == kept.len());
        is_whole.then(|| kept.into_iter().map(|(_, element)| element).collect())
    }
}

impl Decode for bool {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Bool(value) => Some(*value),
            _ => {
                wrong_kind(node, "`true` or `false`", problems);
                None
            }
        }
    }
}

impl Decode for String {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let mut value = None;
        let is_good = text(node, problems, &mut |text| {
            value = Some(text.to_owned());
            Ok(())
        });
        value.filter(|_| is_good)
    }
}

/// An object whose keys are the author's own; refused if one is there twice.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "cli",
    derive(schemars::JsonSchema),
    schemars(transparent, inline)
)]
pub struct Pairs(
    /// The members in the order of the text.
    #[cfg_attr(
        feature = "cli",
        schemars(with = "std::collections::BTreeMap<String, String>")
    )]
    pub Vec<(String, String)>,
);

impl Decode for Pairs {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let members = object(node, problems)?;
        no_twins(members, problems);
        let mut pairs = Vec::with_capacity(members.len());
        let mut whole = true;
        for (key, node) in members {
            match problems.at_key(key, |problems| String::decode(node, problems)) {
                Some(value) => pairs.push((key.clone(), value)),
                None => whole = false,
            }
        }
        whole.then_some(Self(pairs))
    }
}

/// `{}`: an object without members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Empty;

impl Decode for Empty {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        if object(node, problems)?.is_empty() {
            return Some(Self);
        }
        problems.say("it takes no members", "write `{}`");
        None
    }
}

#[cfg(feature = "cli")]
impl schemars::JsonSchema for Empty {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Empty".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "object", "maxProperties": 0})
    }
}

/// A whole number from `LEAST` to `MOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<const LEAST: i64, const MOST: i64>(pub i64);

impl<const LEAST: i64, const MOST: i64> Decode for Whole<LEAST, MOST> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        whole(node, LEAST, MOST, problems).map(Self)
    }
}

fn whole(node: &Node, least: i64, most: i64, problems: &mut Problems) -> Option<i64> {
    let write = || format!("a whole number from {least} to {most}");
    match node.value {
        Value::Integer(value) if (least..=most).contains(&value) => return Some(value),
        Value::Integer(value) => problems.say(format!("{value} is out of range"), write()),
        _ => wrong_kind(node, &write(), problems),
    }
    None
}

#[cfg(feature = "cli")]
impl<const LEAST: i64, const MOST: i64> schemars::JsonSchema for Whole<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Whole{LEAST}To{MOST}").into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "integer", "minimum": LEAST, "maximum": MOST})
    }
}

/// A fraction of one, such as a probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fraction(pub f64);

impl Decode for Fraction {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        #[allow(clippy::cast_precision_loss)]
        let value = match node.value {
            Value::Integer(value) => value as f64,
            Value::Fraction(value) => value,
            _ => {
                wrong_kind(node, "a number from 0 to 1", problems);
                return None;
            }
        };
        if (0.0..=1.0).contains(&value) {
            return Some(Self(value));
        }
        problems.say(
            format!("{} is out of range", number(value)),
            "a number from 0 to 1",
        );
        None
    }
}

#[cfg(feature = "cli")]
impl schemars::JsonSchema for Fraction {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Fraction".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "number", "minimum": 0, "maximum": 1})
    }
}

/// A number of at least 1 with a fraction, such as a tolerance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factor(pub f64);

impl Decode for Factor {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        #[allow(clippy::cast_precision_loss)]
        let value = match node.value {
            Value::Integer(value) => value as f64,
            Value::Fraction(value) => value,
            _ => {
                wrong_kind(node, "a number from 1 to 100", problems);
                return None;
            }
        };
        if (1.0..=100.0).contains(&value) {
            return Some(Self(value));
        }
        problems.say(
            format!("{} is out of range", number(value)),
            "a number from 1 to 100",
        );
        None
    }
}

#[cfg(feature = "cli")]
impl schemars::JsonSchema for Factor {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Factor".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "number", "minimum": 1, "maximum": 100})
    }
}

/// Says that `node` is of the wrong kind.
pub fn wrong_kind(node: &Node, write: &str, problems: &mut Problems) {
    let write = match &node.value {
        Value::Null => format!("{write}, or leave the key out"),
        _ => write.to_owned(),
    };
    problems.say(it_is(&node.value), write);
}

fn it_is(value: &Value) -> String {
    match value {
        Value::Null => "it is empty".to_owned(),
        Value::Bool(value) => format!("it is the boolean {value}"),
        Value::Integer(value) => format!("it is the number {value}"),
        Value::Fraction(value) => format!("it is the number {}", number(*value)),
        Value::Text(value) => format!("it is the text {}", quoted(value)),
        other => format!("it is {}", other.kind()),
    }
}

/// What is wrong with a value that should be text that `read` takes, and what to write: quotes, if
/// they are all that is missing.
fn unquoted(value: &Value, read: Read<'_>) -> (String, String) {
    let bare = match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::Integer(value) => Some(value.to_string()),
        Value::Fraction(value) => Some(number(*value)),
        _ => None,
    };
    let write = match (read(bare.as_deref().unwrap_or_default()), bare) {
        (Ok(()), Some(bare)) => format!("put it in quotes: \"{bare}\""),
        (Ok(()), None) => "text".to_owned(),
        (Err((_, write)), _) => write,
    };
    (it_is(value), write)
}

/// Reads a text, or says what is wrong with it and what to write.
pub type Read<'r> = &'r mut dyn FnMut(&str) -> Result<(), (String, String)>;

/// Has `read` read the text of `node`; what it finds wrong, or that there is no text, is a problem.
/// Gives whether all is well.
pub fn text(node: &Node, problems: &mut Problems, read: Read<'_>) -> bool {
    let read = match &node.value {
        Value::Text(text) => read(text),
        other => Err(unquoted(other, read)),
    };
    let Err((what, write)) = read else {
        return true;
    };
    problems.say(what, write);
    false
}

/// Has `read` read each element of a list; `false` if it is none, or too long, which is a problem.
fn each(
    node: &Node,
    problems: &mut Problems,
    read: &mut dyn FnMut(usize, &Node, &mut Problems),
) -> bool {
    let Value::List(elements) = &node.value else {
        wrong_kind(node, "a list, as in `[…]`", problems);
        return false;
    };
    if elements.len() > LONGEST_LIST {
        problems.say(
            format!("it has {} elements", elements.len()),
            format!("at most {LONGEST_LIST}"),
        );
        return false;
    }
    for (index, element) in elements.iter().enumerate() {
        problems.at_index(index, |problems| read(index, element, problems));
    }
    true
}

/// The members of an object, or a problem.
pub fn object<'n>(node: &'n Node, problems: &mut Problems) -> Option<&'n [(String, Node)]> {
    match &node.value {
        Value::Object(members) => Some(members),
        _ => {
            wrong_kind(node, "an object, as in `{…}`", problems);
            None
        }
    }
}

/// Refuses keys that `known` does not hold and keys that are there twice.
pub fn known_members(members: &[(String, Node)], known: &[&str], problems: &mut Problems) {
    no_twins(members, problems);
    for (key, _) in members {
        if known.contains(&key.as_str()) {
            continue;
        }
        let write = match nearest(key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("one of {}", listed(known)),
        };
        problems.at_key(key, |problems| {
            problems.say(format!("there is no {} here", quoted(key)), write);
        });
    }
}

fn no_twins(members: &[(String, Node)], problems: &mut Problems) {
    let mut last = None;
    for key in sorted(members.iter().map(|(key, _)| key.as_str())) {
        if last == Some(key) {
            problems.at_key(key, |problems| {
                problems.say("the key is there twice", "keep one of them");
            });
        }
        last = Some(key);
    }
}

/// The member of `known` that `given` was most likely meant to be: at most a third of its letters
/// differ, and at least one may.
pub fn nearest<'k>(given: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if given.len() > 64 {
        return None;
    }
    let most = given.chars().count().div_ceil(3);
    known
        .map(|name| {
            (
                strsim::osa_distance(&given.to_ascii_lowercase(), &name.to_ascii_lowercase()),
                name,
            )
        })
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `a`, `b` or `c`.
pub fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// Text for a message: in backticks, control characters escaped, cut at 60 characters.
pub fn quoted(text: &str) -> String {
    let mut shown = printable(text, 60);
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// The member `key` of an object.
// Once for each type, and not for each field.
#[inline(never)]
pub fn field<T: Decode>(node: &Node, key: &str, problems: &mut Problems) -> Option<T> {
    match node.member(key) {
        Some(member) => problems
            .at_key(key, |problems| T::decode(member, problems))
            .or_else(T::broken),
        None => T::absent(key, problems),
    }
}

/// Makes a struct, its reader and its JSON Schema out of one list of fields.
///
/// Each field names its key in the policy. A field of type `Option<…>` may be left out.
macro_rules! record {
    ($(#[$meta:meta])* pub struct $name:ident {
        $( $(#[$about:meta])* $key:literal => $field:ident: $type:ty, )*
    }) => {
        #[derive(Debug, Clone, PartialEq)]
        #[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
        $(#[$meta])*
        pub struct $name {
            $( $(#[$about])* #[cfg_attr(feature = "cli", schemars(rename = $key))] pub $field: $type, )*
        }

        impl $crate::policy::decode::Decode for $name {
            // Once, and not in every place where one is read: these are a tenth of the filter.
            #[inline(never)]
            fn decode(
                node: &$crate::policy::tree::Node,
                problems: &mut $crate::policy::problem::Problems,
            ) -> Option<Self> {
                let members = $crate::policy::decode::object(node, problems)?;
                $crate::policy::decode::known_members(members, &[$($key),*], problems);
                $( let $field = $crate::policy::decode::field::<$type>(node, $key, problems); )*
                Some(Self { $($field: $field?,)* })
            }
        }
    };
}
pub(crate) use record;

/// Makes an enum of texts: its reader, and its JSON Schema.
macro_rules! choice {
    ($(#[$meta:meta])* pub enum $name:ident {
        $( $(#[$about:meta])* $text:literal => $variant:ident, )*
    }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(inline))]
        $(#[$meta])*
        pub enum $name {
            $( $(#[$about])* #[cfg_attr(feature = "cli", schemars(rename = $text))] $variant, )*
        }

        impl $crate::policy::decode::Decode for $name {
            fn decode(
                node: &$crate::policy::tree::Node,
                problems: &mut $crate::policy::problem::Problems,
            ) -> Option<Self> {
                const KNOWN: &[&str] = &[$($text),*];
                match &node.value {
                    $( $crate::policy::tree::Value::Text(text) if text == $text => Some(Self::$variant), )*
                    _ => {
                        $crate::policy::decode::wrong_kind(
                            node,
                            &$crate::policy::decode::listed(KNOWN),
                            problems,
                        );
                        None
                    }
                }
            }
        }
    };
}
pub(crate) use choice;

/// Makes a newtype over a text of a certain form out of `fn(&str) -> Result<Inner, (what, write)>`.
macro_rules! leaf {
    ($(#[$meta:meta])* pub struct $name:ident($inner:ty) = $read:path, $schema:tt) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name(
            /// The value.
            pub $inner,
        );

        impl $crate::policy::decode::Decode for $name {
            #[inline(never)]
            fn decode(
                node: &$crate::policy::tree::Node,
                problems: &mut $crate::policy::problem::Problems,
            ) -> Option<Self> {
                let mut value = None;
                let is_good = $crate::policy::decode::text(node, problems, &mut |text| {
                    value = Some(Self($read(text)?));
                    Ok(())
                });
                value.filter(|_| is_good)
            }
        }

        #[cfg(feature = "cli")]
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}
pub(crate) use leaf;
