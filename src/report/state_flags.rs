//! Flags in the state document.

use serde::{Serialize, Serializer};

/// What is told of a flag.
#[derive(Debug, Clone, Serialize)]
pub struct Flag<'a> {
    /// Its name.
    pub flag: &'a str,
    /// How often each value was given, the default first.
    pub values: Values<'a>,
    /// Whether it is shed; nothing if it can't be.
    pub shed: Option<bool>,
    /// Whether it is past its day; nothing if it has none.
    pub expired: Option<bool>,
}

/// Counts by value.
#[derive(Debug, Clone)]
pub struct Values<'a>(
    /// The values and their counts.
    pub Vec<(&'a str, u64)>,
);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().copied())
    }
}
