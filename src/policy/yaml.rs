//! YAML text into [`Node`]s, one for each document; for the command line alone.
//!
//! Plain scalars follow YAML 1.2's core schema, and `yes`, `no`, `on` and `off` are booleans besides:
//! the YAML of Kubernetes and of Envoy reads them so, and a policy must not mean one thing here and
//! another there. Aliases are resolved; the tree that comes of them is bounded.

use super::problem::Refusal;
use super::tree::{Node, Value};
use saphyr::{Scalar, ScalarStyle, ScanError};
use saphyr_parser::{Event, Parser, Span};
use std::collections::BTreeMap;

/// Nodes of one file: ten times those of a policy of five hundred full routes. An alias counts what
/// it stands for.
const MOST_NODES: usize = 2_000_000;

/// Nesting; as deep as the JSON reader goes.
const DEEPEST: usize = 128;

/// The documents of `text`; empty ones are left out.
///
/// # Errors
/// Says where the text stops being YAML.
pub fn read(text: &str) -> Result<Vec<Node>, Refusal> {
    let mut loader = Loader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| not_yaml(&error))?;
        loader.take(event, line(&span))?;
    }
    Ok(loader.documents)
}

fn line(span: &Span) -> u32 {
    u32::try_from(span.start.line()).unwrap_or(u32::MAX)
}

fn not_yaml(error: &ScanError) -> Refusal {
    let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
    Refusal::whole(
        line,
        format!("it is not YAML: {}", error.info()),
        "mend the text at this line, or above it",
    )
}

/// A list or an object whose end has not come yet.
struct Open {
    anchor: usize,
    line: u32,
    nodes: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Object(Vec<(String, Node)>, Option<String>),
}

#[derive(Default)]
struct Loader {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
}

impl Loader {
    fn take(&mut self, event: Event<'_>, line: u32) -> Result<(), Refusal> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = if tag.is_some_and(|tag| tag.suffix == "str") {
                    Value::Text(text.into_owned())
                } else {
                    scalar(&text, style)
                };
                self.place(Node { line, value }, 1, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, line, Inside::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.begin(anchor, line, Inside::Object(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some((node, nodes)) => self.place(Node { line, ..node }, nodes, 0),
                None => Err(Refusal::whole(
                    line,
                    "this alias stands for nothing",
                    "write it out",
                )),
            },
            _ => Ok(()),
        }
    }

    fn begin(&mut self, anchor: usize, line: u32, inside: Inside) -> Result<(), Refusal> {
        if self.open.len() >= DEEPEST {
            return Err(Refusal::whole(
                line,
                "it is nested too deep",
                "fewer levels",
            ));
        }
        self.open.push(Open {
            anchor,
            line,
            nodes: 1,
            inside,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Refusal> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let value = match open.inside {
            Inside::List(elements) => Value::List(elements),
            Inside::Object(members, _) => Value::Object(members),
        };
        let node = Node {
            line: open.line,
            value,
        };
        self.place(node, open.nodes, open.anchor)
    }

    /// Puts a whole node where it belongs; `nodes` is how many it has.
    fn place(&mut self, node: Node, nodes: usize, anchor: usize) -> Result<(), Refusal> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MOST_NODES {
            return Err(Refusal::whole(
                node.line,
                "it has too many nodes",
                "fewer aliases",
            ));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), nodes));
        }
        let Some(open) = self.open.last_mut() else {
            if node.value != Value::Null {
                self.documents.push(node);
            }
            return Ok(());
        };
        open.nodes = open.nodes.saturating_add(nodes);
        match &mut open.inside {
            Inside::List(elements) => elements.push(node),
            Inside::Object(members, key) => match key.take() {
                Some(key) => members.push((key, node)),
                None => *key = Some(key_text(node)?),
            },
        }
        Ok(())
    }
}

fn key_text(node: Node) -> Result<String, Refusal> {
    match node.value {
        Value::Text(text) => Ok(text),
        Value::Integer(number) => Ok(number.to_string()),
        other => Err(Refusal::whole(
            node.line,
            format!("a key is {}", other.kind()),
            "text; `on`, `off`, `yes` and `no` in quotes",
        )),
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::Text(text.to_owned());
    }
    match text.to_ascii_lowercase().as_str() {
        "" => return Value::Null,
        "yes" | "on" => return Value::Bool(true),
        "no" | "off" => return Value::Bool(false),
        _ => {}
    }
    match Scalar::parse_from_cow(text.into()) {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::Bool(value),
        Scalar::Integer(value) => Value::Integer(value),
        Scalar::FloatingPoint(value) => Value::number(value.into_inner()),
        Scalar::String(text) => Value::Text(text.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        read(text).unwrap().remove(0)
    }

    #[test]
    fn yaml_and_json_read_into_the_same_values() {
        let yaml = one("a: 1\nb: [x, 2.5, true]\nc: {d: null, e: \"1\"}\n");
        let json = super::super::json::read(
            br#"{"a": 1, "b": ["x", 2.5, true], "c": {"d": null, "e": "1"}}"#,
        );
        assert_eq!(bare(&yaml), bare(&json.unwrap()));
    }

    /// The tree without lines.
    fn bare(node: &Node) -> Node {
        let value = match &node.value {
            Value::List(elements) => Value::List(elements.iter().map(bare).collect()),
            Value::Object(members) => {
                Value::Object(members.iter().map(|(k, v)| (k.clone(), bare(v))).collect())
            }
            other => other.clone(),
        };
        Node { line: 0, value }
    }

    #[test]
    fn each_node_knows_its_line() {
        let tree = one("\n# a comment\na:\n- b: 1\n  c: |\n    text\n    more\n");
        assert_eq!(tree.line, 3);
        let element = &tree.member("a").unwrap().elements()[0];
        assert_eq!(element.member("b").unwrap().line, 4);
        assert_eq!(element.member("c").unwrap().line, 6);
    }

    #[test]
    fn plain_on_and_off_are_booleans_as_in_kubernetes() {
        let tree = one("a: off\nb: \"off\"\nc: Yes\n");
        assert_eq!(tree.member("a").unwrap().value, Value::Bool(false));
        assert_eq!(tree.member("b").unwrap().value, Value::Text("off".into()));
        assert_eq!(tree.member("c").unwrap().value, Value::Bool(true));
        assert!(read("on: 1\n").is_err());
    }

    #[test]
    fn moments_and_percentages_are_text() {
        let tree = one("a: 2026-11-21T09:00:00Z\nb: 1%\nc: 10m\n");
        for key in ["a", "b", "c"] {
            assert!(tree.member(key).unwrap().text().is_some(), "{key}");
        }
    }

    #[test]
    fn aliases_are_resolved_and_bombs_refused() {
        let tree = one("a: &x {k: 1}\nb: *x\n");
        assert_eq!(
            tree.member("b").unwrap().member("k").unwrap().value,
            Value::Integer(1)
        );
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}", level - 1);
            bomb += &format!(
                "a{level}: &a{level} [{}]\n",
                [before.as_str(); 10].join(", ")
            );
        }
        let refusal = read(&bomb).unwrap_err();
        assert!(refusal.to_string().contains("too many nodes"), "{refusal}");
        assert!(read("a: *nothing\n").is_err());
    }

    #[test]
    fn text_that_is_no_yaml_is_refused_with_its_line() {
        let refusal = read("a: 1\nb: [1, 2\n").unwrap_err();
        assert!(refusal.problems[0].line >= 2, "{refusal}");
        assert!(read(&"[".repeat(1000)).is_err());
    }
}
