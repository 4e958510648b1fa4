//! The pairs of values at which two documents differ.
//!
//! Equal values have one number, so the walk goes only where something differs, and never further
//! than the smaller document is long. Arrays of one length that are not equal are the same multiset
//! if the sums of their children's numbers agree and then the sorted numbers do; each element is
//! sorted in its own array alone, so nesting does not multiply that.

use super::Kind;
use super::json::{Value, ValueId, Values};
use super::paths::{PathId, Paths};
use std::collections::BTreeMap;

/// How often something was found, and the values at the first place.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) count: u64,
    pub(super) left: Option<ValueId>,
    pub(super) right: Option<ValueId>,
}

/// What the walk found.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) paths: Paths,
    pub(super) found: BTreeMap<(PathId, Kind), Place>,
    /// How many pairs and array elements were looked at.
    pub(super) steps: u64,
    /// The pairs still to visit.
    left: Vec<(PathId, ValueId, ValueId)>,
}

impl Walk {
    /// Compares two documents of `values`.
    pub(super) fn new(left: ValueId, right: ValueId, values: &Values) -> Self {
        let mut walk = Self::default();
        walk.ask(Paths::ROOT, left, right);
        while let Some((path, left, right)) = walk.left.pop() {
            walk.step(1);
            walk.visit(path, left, right, values);
        }
        walk
    }

    fn step(&mut self, by: usize) {
        self.steps = self.steps.saturating_add(by as u64);
    }

    fn ask(&mut self, path: PathId, left: ValueId, right: ValueId) {
        if left != right {
            self.left.push((path, left, right));
        }
    }

    fn note(&mut self, path: PathId, kind: Kind, left: Option<ValueId>, right: Option<ValueId>) {
        let first = Place {
            count: 0,
            left,
            right,
        };
        let place = self.found.entry((path, kind)).or_insert(first);
        place.count = place.count.saturating_add(1);
    }

    fn visit(&mut self, path: PathId, left: ValueId, right: ValueId, values: &Values) {
        let from = self.left.len();
        match (values.get(left), values.get(right)) {
            (Value::Array(a), Value::Array(b)) => {
                self.step(a.len());
                if a.len() != b.len() {
                    self.note(path, Kind::Length, Some(left), Some(right));
                } else if same_multiset(a, b) {
                    self.note(path, Kind::Order, Some(left), Some(right));
                    return;
                }
                let elements = self.paths.elements(path);
                for (&a, &b) in a.iter().zip(b) {
                    self.ask(elements, a, b);
                }
            }
            (Value::Object(a), Value::Object(b)) => self.members(path, a, b, values),
            (Value::Bool(_), Value::Bool(_))
            | (Value::Number(_), Value::Number(_))
            | (Value::String(_), Value::String(_)) => {
                self.note(path, Kind::Value, Some(left), Some(right));
            }
            _ => self.note(path, Kind::Type, Some(left), Some(right)),
        }
        // The first child is to be visited first, so that the first place found is the first.
        self.left.get_mut(from..).unwrap_or_default().reverse();
    }

    /// Merges the members of two objects, which are in the order of their names' numbers.
    fn members(
        &mut self,
        path: PathId,
        left: &[(ValueId, ValueId)],
        right: &[(ValueId, ValueId)],
        values: &Values,
    ) {
        self.step(left.len().saturating_add(right.len()));
        let mut left = left.iter().copied().peekable();
        let mut right = right.iter().copied().peekable();
        loop {
            let name = match (left.peek(), right.peek()) {
                (Some(&(a, _)), Some(&(b, _))) => a.min(b),
                (Some(&(name, _)), None) | (None, Some(&(name, _))) => name,
                (None, None) => return,
            };
            let a = left
                .next_if(|member| member.0 == name)
                .map(|member| member.1);
            let b = right
                .next_if(|member| member.0 == name)
                .map(|member| member.1);
            if a == b {
                continue;
            }
            let member = self.paths.member(path, name, values);
            match (a, b) {
                (Some(a), Some(b)) => self.ask(member, a, b),
                (_, None) => self.note(member, Kind::Missing, a, b),
                (None, _) => self.note(member, Kind::Extra, a, b),
            }
        }
    }
}

fn same_multiset(left: &[ValueId], right: &[ValueId]) -> bool {
    let sum = |ids: &[ValueId]| {
        ids.iter()
            .map(|id| u64::from(id.number()))
            .fold(0, u64::wrapping_add)
    };
    if sum(left) != sum(right) {
        return false;
    }
    let sorted = |ids: &[ValueId]| {
        let mut ids: Vec<u64> = ids.iter().map(|id| u64::from(id.number())).collect();
        ids.sort_unstable();
        ids
    };
    sorted(left) == sorted(right)
}
