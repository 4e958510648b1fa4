//! Ignore rules: which parts of an answer no comparison sees.
//!
//! A rule is a JSON Pointer (RFC 6901) in which a segment `*` stands for any one segment and `**`
//! for zero or more; or `header:<name>`, or `trailer:grpc-status`. A rule takes the node that it
//! matches and all below it. `*` inside a longer segment is the character itself.
//!
//! All pointer rules together are one nondeterministic automaton, and what is left to match of
//! them at a node is a bit set: a step to a child costs one pass over that set, so that the number
//! of `**` in a rule changes nothing (a backtracking matcher would be exponential in it). The sets
//! of the nodes from the root to the present one lie on one stack.

use crate::text::printable;
use std::fmt;

/// All pointer rules together may have this many segments: 128 bytes of bit set a level.
const MAX_SEGMENTS: usize = 1024;

/// Characters of a rule in a message.
const LONGEST_SHOWN: usize = 100;

/// A rule that cannot be read: which, why, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRule(String);

impl fmt::Display for BadRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadRule {}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// A member's name, or the index that the name is the decimal form of.
    Literal { name: String, index: Option<usize> },
    /// `*`.
    One,
    /// `**`.
    Any,
    /// The end of a rule.
    End,
}

/// A checked list of ignore rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IgnoreRules {
    /// The segments of all rules, each rule closed by an `End`. Bit i of a set says that segment i
    /// is the next to match.
    segments: Vec<Segment>,
    /// The set at the root.
    root: Vec<u64>,
    headers: Vec<String>,
    grpc_status: bool,
}

impl IgnoreRules {
    /// Reads `rules`, one a text.
    ///
    /// # Errors
    /// The first rule that is neither a pointer nor a known prefix, or that is one too many.
    pub fn new<'a>(rules: impl IntoIterator<Item = &'a str>) -> Result<Self, BadRule> {
        let mut found = Self::default();
        let mut starts = Vec::new();
        for rule in rules {
            let bad = |why: &str| {
                BadRule(format!(
                    "ignore rule `{}`: {why}",
                    printable(rule, LONGEST_SHOWN)
                ))
            };
            if let Some(name) = rule.strip_prefix("header:") {
                found.headers.push(name.trim().to_ascii_lowercase());
            } else if rule == "trailer:grpc-status" {
                found.grpc_status = true;
            } else if rule.is_empty() || rule.starts_with('/') {
                starts.push(found.segments.len());
                for segment in rule.split('/').skip(1) {
                    found.segments.push(read(segment).ok_or_else(|| {
                        bad("~ is not followed by 0 or 1; write ~0 for ~ and ~1 for /")
                    })?);
                }
                found.segments.push(Segment::End);
            } else {
                return Err(bad(
                    "not a pointer; write /path/to/member, header:<name> or trailer:grpc-status",
                ));
            }
            if found.segments.len() > MAX_SEGMENTS {
                return Err(bad(&format!(
                    "all rules together have more than {MAX_SEGMENTS} segments; write fewer, with *"
                )));
            }
        }
        found.root = vec![0; found.segments.len().div_ceil(64)];
        let mut root = std::mem::take(&mut found.root);
        for start in starts {
            found.activate(&mut root, start);
        }
        found.root = root;
        Ok(found)
    }

    /// Whether the rules take a difference's path, in which array indices are `*` already: a rule
    /// that names an index takes none.
    pub fn takes(&self, path: &str) -> bool {
        if let Some(name) = path.strip_prefix("header:") {
            return self.header(name);
        }
        if path.starts_with("trailer:") {
            return self.grpc_status;
        }
        let mut trail = Trail::new(self);
        let mut at_node = |segment: Option<&str>| {
            if let Some(segment) = segment {
                let name = segment.replace("~1", "/").replace("~0", "~");
                trail.enter(Step::Member(&name));
            }
            let words = self.root.len();
            let from = trail.sets.len().saturating_sub(words);
            self.accepts(trail.sets.get(from..).unwrap_or_default())
        };
        at_node(None)
            || path
                .split('/')
                .skip(1)
                .any(|segment| at_node(Some(segment)))
    }

    /// Whether the header field `name` (lower case) is ignored.
    pub(super) fn header(&self, name: &str) -> bool {
        self.headers.iter().any(|known| known == name)
    }

    /// Whether the trailer grpc-status is ignored.
    pub(super) fn grpc_status(&self) -> bool {
        self.grpc_status
    }

    /// Whether the body as a whole is ignored.
    pub(super) fn whole_body(&self) -> bool {
        self.accepts(&self.root)
    }

    fn accepts(&self, set: &[u64]) -> bool {
        bits(set).any(|at| self.segments.get(at) == Some(&Segment::End))
    }

    /// Adds segment `at` to `set`, and what follows it as long as it may match nothing.
    fn activate(&self, set: &mut [u64], mut at: usize) {
        loop {
            if let Some(word) = set.get_mut(at / 64) {
                *word |= 1 << (at % 64);
            }
            if self.segments.get(at) != Some(&Segment::Any) {
                return;
            }
            at = at.saturating_add(1);
        }
    }
}

fn read(segment: &str) -> Option<Segment> {
    Some(match segment {
        "*" => Segment::One,
        "**" => Segment::Any,
        _ => {
            let valid = segment.split('~').skip(1);
            if !valid.into_iter().all(|rest| rest.starts_with(['0', '1'])) {
                return None;
            }
            let name = segment.replace("~1", "/").replace("~0", "~");
            let index = name
                .parse()
                .ok()
                .filter(|index: &usize| index.to_string() == name);
            Segment::Literal { name, index }
        }
    })
}

fn bits(set: &[u64]) -> impl Iterator<Item = usize> {
    set.iter().enumerate().flat_map(|(word, &bits)| {
        let first = word.saturating_mul(64);
        let with_lowest_cleared = |bits: &u64| Some(bits & bits.wrapping_sub(1));
        std::iter::successors(Some(bits), with_lowest_cleared)
            .take_while(|&bits| bits != 0)
            .map(move |bits| first.saturating_add(bits.trailing_zeros() as usize))
    })
}

/// A step from a node to its child.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    /// To the member of this name.
    Member(&'a str),
    /// To the element at this index.
    Element(usize),
}

/// The way from the root to a node, as the rules see it. Without rules it costs nothing.
#[derive(Debug)]
pub(super) struct Trail<'a> {
    rules: &'a IgnoreRules,
    /// The sets from the root to here, each as long as `rules.root`.
    sets: Vec<u64>,
}

impl<'a> Trail<'a> {
    /// At the root.
    pub(super) fn new(rules: &'a IgnoreRules) -> Self {
        Self {
            rules,
            sets: rules.root.clone(),
        }
    }

    /// Goes to a child.
    pub(super) fn enter(&mut self, step: Step<'_>) {
        let words = self.rules.root.len();
        if words == 0 {
            return;
        }
        let from = self.sets.len();
        self.sets.resize(from.saturating_add(words), 0);
        let (before, child) = self.sets.split_at_mut(from);
        let parent = before.get(from.saturating_sub(words)..).unwrap_or_default();
        for at in bits(parent) {
            let next = at.saturating_add(1);
            match (self.rules.segments.get(at), step) {
                (Some(Segment::Any), _) => self.rules.activate(child, at),
                (Some(Segment::One), _) => self.rules.activate(child, next),
                (Some(Segment::Literal { name, .. }), Step::Member(member)) if name == member => {
                    self.rules.activate(child, next);
                }
                (Some(Segment::Literal { index, .. }), Step::Element(element))
                    if *index == Some(element) =>
                {
                    self.rules.activate(child, next);
                }
                _ => {}
            }
        }
    }

    /// Goes back to the parent; says whether the node that is left was ignored.
    pub(super) fn leave(&mut self) -> bool {
        let words = self.rules.root.len();
        let from = self.sets.len().saturating_sub(words);
        let ignored = self
            .rules
            .accepts(self.sets.get(from..).unwrap_or_default());
        self.sets.truncate(from);
        ignored
    }
}

#[cfg(test)]
mod tests {
    use super::{IgnoreRules, Step, Trail};
    use proptest::prelude::*;

    #[test]
    fn a_differences_path_is_taken_with_all_below() {
        let rules = [
            "/items/*/price",
            "/a~1b",
            "/deep/**/id",
            "header:location",
            "/list/0",
        ];
        let rules = IgnoreRules::new(rules).unwrap();
        for (path, taken) in [
            ("/items/*/price", true),
            ("/items/*/price/cents", true),
            ("/items/*", false),
            ("/a~1b", true),
            ("/deep/x/*/id", true),
            ("/deep/x", false),
            ("/list/*", false),
            ("header:location", true),
            ("header:allow", false),
            ("trailer:grpc-status", false),
            ("", false),
        ] {
            assert_eq!(rules.takes(path), taken, "{path}");
        }
        assert!(IgnoreRules::new([""]).unwrap().takes("/anything"));
        assert!(!IgnoreRules::default().takes(""));
    }

    /// Whether `rules` match the node itself; digits in `path` are indices after a `#`.
    fn matches(rules: &[&str], path: &[&str]) -> bool {
        let rules = IgnoreRules::new(rules.iter().copied()).unwrap();
        let mut trail = Trail::new(&rules);
        if path.is_empty() {
            return rules.whole_body();
        }
        for name in path {
            trail.enter(match name.strip_prefix('#') {
                Some(index) => Step::Element(index.parse().unwrap()),
                None => Step::Member(name),
            });
        }
        trail.leave()
    }

    #[test]
    fn a_star_is_one_segment_and_two_are_any_number() {
        for (rule, path, expected) in [
            ("/a/*/c", &["a", "b", "c"][..], true),
            ("/a/*/c", &["a", "#0", "c"], true),
            ("/a/*/c", &["a", "c"], false),
            ("/a/**/c", &["a", "c"], true),
            ("/a/**/c", &["a", "x", "y", "c"], true),
            ("/a/**", &["a"], true),
            ("/**", &[], true),
            ("", &[], true),
            ("/", &[""], true),
            ("/", &[], false),
            ("/a*", &["ab"], false),
            ("/a*", &["a*"], true),
            ("/0", &["#0"], true),
            ("/0", &["0"], true),
            ("/00", &["#0"], false),
            ("/a~1b/m~0n", &["a/b", "m~n"], true),
            ("/~01", &["~1"], true),
        ] {
            assert_eq!(matches(&[rule], path), expected, "{rule} at {path:?}");
        }
    }

    #[test]
    fn rules_do_not_mix() {
        assert!(!matches(&["/a/b", "/c/d"], &["a", "d"]));
        assert!(matches(&["/a/b", "/c/d"], &["c", "d"]));
    }

    #[test]
    fn headers_and_the_trailer_are_named_by_prefix() {
        let rules = IgnoreRules::new(["header:X-Plan", "trailer:grpc-status"]).unwrap();
        assert!(rules.header("x-plan") && rules.grpc_status() && !rules.header("etag"));
    }

    #[test]
    fn a_bad_rule_is_refused_with_what_to_write() {
        for rule in ["meta", "/a~2", "/a~", "trailer:x"] {
            let error = IgnoreRules::new([rule]).unwrap_err().to_string();
            assert!(error.contains("write") && error.contains(rule), "{error}");
        }
        assert!(IgnoreRules::new(["/a".repeat(1023).as_str()]).is_ok());
        assert!(IgnoreRules::new(["/a".repeat(1024).as_str()]).is_err());
    }

    /// The plain definition, exponential in the worst case.
    fn slowly(rule: &[&str], path: &[&str]) -> bool {
        match (rule.split_first(), path.split_first()) {
            (None, None) => true,
            (Some((&"**", rest)), _) if slowly(rest, path) => true,
            (Some((&"**", _)), Some((_, rest))) => slowly(rule, rest),
            (Some((first, rule)), Some((name, path))) if *first == "*" || first == name => {
                slowly(rule, path)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_rule_matches_what_its_definition_says(
            rule in proptest::collection::vec(prop_oneof!["a", "b", r"\*", r"\*\*"], 0..7),
            path in proptest::collection::vec("[ab]", 0..7),
        ) {
            let pointer: String = rule.iter().map(|segment| format!("/{segment}")).collect();
            let rule: Vec<&str> = rule.iter().map(String::as_str).collect();
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            prop_assert_eq!(matches(&[&pointer], &path), slowly(&rule, &path));
        }
    }
}
