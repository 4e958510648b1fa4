//! What is wrong with a policy: every problem, each with its place, what is wrong and what to write.
//!
//! A policy is refused whole, but its author should mend it in one go: reading and checking never
//! stop at the first problem. At most [`MOST`] are kept; the rest are counted. A warning refuses
//! nothing: it is said of a policy that is good, and of what its author should know of it.

use super::tree::Node;
use crate::sorted::sorted_by;
use crate::text::printable;
use std::fmt;

/// Problems kept of one policy. A log line and a terminal page hold about this many; a policy with
/// more is most often the wrong file.
pub const MOST: usize = 100;

/// Characters of a key that are shown.
const LONGEST_KEY: usize = 100;

/// One step of a path into a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A member of an object.
    Key(String),
    /// An element of a list, from 0.
    Index(usize),
}

/// What a problem does to its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It is refused.
    Error,
    /// It is accepted.
    Warning,
}

/// One thing that is wrong, or is warned of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether it refuses the policy.
    pub severity: Severity,
    /// Where, from the root of the policy.
    pub path: Vec<Step>,
    /// Line in the text, from 1; 0 where the text has no lines to speak of.
    pub line: u32,
    /// The day from which it holds, in days since 1970; always, if there is none.
    pub from_day: Option<i64>,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub write: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str("policy")?;
        }
        for (n, step) in self.path.iter().enumerate() {
            match step {
                Step::Key(key) => {
                    let dot = if n == 0 { "" } else { "." };
                    // A key is the author's text: it must not break the line.
                    write!(f, "{dot}{}", printable(key, LONGEST_KEY))?;
                }
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        let severity = match self.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        write!(f, ": {severity}{}; {}", self.what, self.write)
    }
}

/// Collects problems while a policy is read, and knows the place that is being read.
#[derive(Debug, Default)]
pub struct Problems {
    here: Vec<Step>,
    found: Vec<Problem>,
    more: usize,
    warnings: Vec<Problem>,
}

impl Problems {
    /// Runs `read` with `key` as the place.
    pub fn at_key<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.enter_key(key);
        let read = read(self);
        self.leave();
        read
    }

    /// Runs `read` with element `index` as the place.
    pub fn at_index<T>(&mut self, index: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        self.enter_index(index);
        let read = read(self);
        self.leave();
        read
    }

    // Each of these and of `note` is called from hundreds of places: copies of them there would be
    // a twentieth of the filter.

    #[inline(never)]
    fn enter_key(&mut self, key: &str) {
        self.here.push(Step::Key(key.to_owned()));
    }

    #[inline(never)]
    fn enter_index(&mut self, index: usize) {
        self.here.push(Step::Index(index));
    }

    #[inline(never)]
    fn leave(&mut self) {
        self.here.pop();
    }

    /// Notes a problem at the present place.
    pub fn say(&mut self, what: impl AsRef<str>, write: impl AsRef<str>) {
        self.note(what.as_ref(), write.as_ref());
    }

    #[inline(never)]
    fn note(&mut self, what: &str, write: &str) {
        if self.found.len() >= MOST {
            self.more = self.more.saturating_add(1);
            return;
        }
        let problem = self.here(Severity::Error, what.to_owned(), write.to_owned());
        self.found.push(problem);
    }

    /// Notes a warning at the present place: what is allowed, and what to do that it does no harm.
    /// Those past [`MOST`] are not kept.
    pub fn warn(&mut self, what: impl Into<String>, write: impl Into<String>) {
        if self.warnings.len() < MOST {
            let warning = self.here(Severity::Warning, what.into(), write.into());
            self.warnings.push(warning);
        }
    }

    /// The same, from a day on (in days since 1970).
    pub fn warn_from(&mut self, day: i64, what: &str, write: &str) {
        let before = self.warnings.len();
        self.warn(what, write);
        if let Some(warning) = self.warnings.get_mut(before) {
            warning.from_day = Some(day);
        }
    }

    fn here(&self, severity: Severity, what: String, write: String) -> Problem {
        Problem {
            severity,
            path: self.here.clone(),
            line: 0,
            from_day: None,
            what,
            write,
        }
    }

    /// Whether a problem was said at or below `key` of the present place: its absence is then no
    /// news.
    pub fn said_below(&self, key: &str) -> bool {
        let depth = self.here.len();
        self.found.iter().any(|problem| {
            problem.path.starts_with(&self.here)
                && matches!(problem.path.get(depth), Some(Step::Key(step)) if step == key)
        })
    }

    /// Whether a problem was said at or below `key` of an element of the list `list` of the present
    /// place.
    pub fn said_in_elements(&self, list: &str, key: &str) -> bool {
        let depth = self.here.len();
        let is = |step: Option<&Step>, name: &str| matches!(step, Some(Step::Key(k)) if k == name);
        self.found.iter().any(|problem| {
            let mut below = problem.path.get(depth..).unwrap_or_default().iter();
            problem.path.starts_with(&self.here)
                && is(below.next(), list)
                && below.next().is_some()
                && is(below.next(), key)
        })
    }

    /// How many problems were said so far.
    pub fn count(&self) -> usize {
        self.found.len().saturating_add(self.more)
    }

    /// Whether nothing was said so far.
    pub fn none(&self) -> bool {
        self.found.is_empty()
    }

    /// Ends the collecting; lines are looked up in `tree`.
    pub fn into_refusal(self, tree: Option<&Node>) -> Refusal {
        Refusal {
            problems: with_lines(self.found, tree),
            more: self.more,
        }
    }

    /// Ends the collecting of a policy without problems: its warnings, in the order of the text.
    pub fn into_warnings(self, tree: &Node) -> Vec<Problem> {
        with_lines(self.warnings, Some(tree))
    }
}

fn with_lines(mut problems: Vec<Problem>, tree: Option<&Node>) -> Vec<Problem> {
    for problem in &mut problems {
        problem.line = tree.map_or(0, |tree| tree.line_of(&problem.path));
    }
    sorted_by(problems, |a, b| a.line.cmp(&b.line))
}

/// Why a policy was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The problems, in the order of the text.
    pub problems: Vec<Problem>,
    /// How many further ones were found and not kept.
    pub more: usize,
}

impl Refusal {
    /// A refusal for one problem of the whole text.
    pub fn whole(line: u32, what: impl Into<String>, write: impl Into<String>) -> Self {
        let problem = Problem {
            severity: Severity::Error,
            path: Vec::new(),
            line,
            from_day: None,
            what: what.into(),
            write: write.into(),
        };
        Self {
            problems: vec![problem],
            more: 0,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_refuse_nothing_and_hide_nothing_and_are_kept_to_a_bound() {
        let mut problems = Problems::default();
        problems.at_key("methods", |problems| {
            for _ in 0..=MOST {
                problems.warn("it writes", "leave it out");
            }
        });
        assert!(problems.none() && !problems.said_below("methods"));
        assert_eq!(problems.count(), 0);
        let tree = Node {
            line: 1,
            value: super::super::tree::Value::Null,
        };
        let warnings = problems.into_warnings(&tree);
        assert_eq!(warnings.len(), MOST);
        let shown = warnings[0].to_string();
        assert_eq!(shown, "methods: warning: it writes; leave it out");
    }
}
