//! Where differences lie: JSON Pointers with every array index as `*`.
//!
//! A path is a number in a tree of paths, and becomes text only when the comparison is over: a
//! document of long names deep inside each other has more text in its paths than in itself, so that
//! writing each one out on the way would not be linear. An object member named `*` has the same
//! text as an index and is the same path.

use super::json::{ValueId, Values};
use std::collections::BTreeMap;

/// The number of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PathId(usize);

/// The last segment of a path: a member's name, or `None` for `*`.
type Segment = Option<ValueId>;

#[derive(Debug)]
struct Place {
    parent: PathId,
    segment: Segment,
    /// The length of the path's text.
    bytes: usize,
}

/// All paths that a comparison went along.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// Path n + 1; path 0 is the root.
    places: Vec<Place>,
    index: BTreeMap<(PathId, Segment), PathId>,
}

impl Paths {
    /// The path of the whole document.
    pub(super) const ROOT: PathId = PathId(0);

    /// The path of all elements of the array at `parent`.
    pub(super) fn elements(&mut self, parent: PathId) -> PathId {
        self.child(parent, None, 1)
    }

    /// The path of the member called `name` of the object at `parent`.
    pub(super) fn member(&mut self, parent: PathId, name: ValueId, values: &Values) -> PathId {
        match values.string(name) {
            "*" => self.elements(parent),
            text => {
                let escaped = text.bytes().filter(|byte| matches!(byte, b'~' | b'/'));
                self.child(
                    parent,
                    Some(name),
                    text.len().saturating_add(escaped.count()),
                )
            }
        }
    }

    fn child(&mut self, parent: PathId, segment: Segment, bytes: usize) -> PathId {
        if let Some(known) = self.index.get(&(parent, segment)) {
            return *known;
        }
        let bytes = self.bytes(parent).saturating_add(bytes).saturating_add(1);
        self.places.push(Place {
            parent,
            segment,
            bytes,
        });
        let id = PathId(self.places.len());
        self.index.insert((parent, segment), id);
        id
    }

    fn place(&self, path: PathId) -> Option<&Place> {
        self.places.get(path.0.checked_sub(1)?)
    }

    /// The length of the path's text in bytes.
    pub(super) fn bytes(&self, path: PathId) -> usize {
        self.place(path).map_or(0, |place| place.bytes)
    }

    /// The path's text.
    pub(super) fn text(&self, mut path: PathId, values: &Values) -> String {
        let mut segments = Vec::new();
        let mut text = String::with_capacity(self.bytes(path));
        while let Some(place) = self.place(path) {
            segments.push(place.segment);
            path = place.parent;
        }
        for segment in segments.into_iter().rev() {
            text.push('/');
            let Some(name) = segment else {
                text.push('*');
                continue;
            };
            for character in values.string(name).chars() {
                match character {
                    '~' => text.push_str("~0"),
                    '/' => text.push_str("~1"),
                    other => text.push(other),
                }
            }
        }
        text
    }
}
