//! What a comparison finds.

use std::fmt;

/// What kind of difference: what became of the thing at the path, from stable to the candidate.
///
/// The order is that of the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The bodies differ as bytes.
    Body,
    /// A member that only the candidate has.
    Extra,
    /// A header field.
    Header,
    /// Arrays of different lengths.
    Length,
    /// A member that only stable has.
    Missing,
    /// The same elements in another order.
    Order,
    /// The status code.
    Status,
    /// The gRPC status.
    Trailer,
    /// Values of different JSON types.
    Type,
    /// Different values of one type.
    Value,
}

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Self; 10] = [
        Self::Body,
        Self::Extra,
        Self::Header,
        Self::Length,
        Self::Missing,
        Self::Order,
        Self::Status,
        Self::Trailer,
        Self::Type,
        Self::Value,
    ];

    /// The name in documents and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Extra => "extra",
            Self::Header => "header",
            Self::Length => "length",
            Self::Missing => "missing",
            Self::Order => "order",
            Self::Status => "status",
            Self::Trailer => "trailer",
            Self::Type => "type",
            Self::Value => "value",
        }
    }

    /// What the difference is with the two answers exchanged.
    pub fn mirrored(self) -> Self {
        match self {
            Self::Missing => Self::Extra,
            Self::Extra => Self::Missing,
            other => other,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// A JSON Pointer with every array index as `*`, empty for the whole; or `header:<name>`, or
    /// `trailer:grpc-status`.
    pub path: String,
    /// What differs there.
    pub kind: Kind,
    /// In how many places of that path.
    pub count: u64,
    /// The values at the first of them, if [`super::Limits::sample_bytes`] asked for them.
    pub sample: Option<Sample>,
}

/// What stood at a place on both sides, as short texts; `None` where nothing did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Stable's.
    pub left: Option<String>,
    /// The candidate's.
    pub right: Option<String>,
}

/// What became of the bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bodies {
    /// They were compared.
    Compared,
    /// Something outside them differs that explains any difference inside (status, gRPC status).
    Explained,
    /// Answers to HEAD and those with status 1xx, 204, 205 and 304 have none.
    None,
    /// A rule ignores them whole.
    Ignored,
    /// One was not captured whole.
    NotCaptured,
    /// One is larger than the limits.
    TooLarge,
}

/// The result of one comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// What differs, sorted by path, then kind; each (path, kind) once.
    pub differences: Vec<Difference>,
    /// How many further (path, kind) there are whose paths did not fit.
    pub unnamed: u64,
    /// Whether the bodies were looked at.
    pub bodies: Bodies,
    /// What it cost: bytes decoded or compared, values read, pairs looked at.
    pub steps: u64,
}

impl Comparison {
    /// Whether nothing was found.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty() && self.unnamed == 0
    }

    /// Whether this difference was found.
    pub fn has(&self, path: &str, kind: Kind) -> bool {
        let place = self
            .differences
            .binary_search_by(|of| (of.path.as_str(), of.kind).cmp(&(path, kind)));
        place.is_ok()
    }

    pub(super) fn add(&mut self, path: String, kind: Kind, sample: Option<Sample>) {
        self.differences.push(Difference {
            path,
            kind,
            count: 1,
            sample,
        });
    }

    pub(super) fn cost(&mut self, steps: usize) {
        self.steps = self.steps.saturating_add(steps as u64);
    }
}
