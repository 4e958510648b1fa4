//! What differs between stable's answer and the candidate's to one request.
//!
//! The comparison goes from the outside to the inside and stops at the first layer that explains
//! the rest: a different status says nothing about headers and body, a different gRPC status
//! nothing about the body. Bodies lose their content codings; equal bytes are equal whatever they
//! are; JSON is compared by value, everything else by its bytes.
//!
//! Bounds: a body is decoded to at most [`Limits::decoded_bytes`] and read to at most
//! [`Limits::values`] JSON values, past which the bodies count as not compared
//! ([`Bodies::TooLarge`]) while status and headers still are; the text of all paths comes to at
//! most [`Limits::path_bytes`], past which differences are counted in [`Comparison::unnamed`].
//! Time is linear in the sizes of the bodies but for the factor of sorting; nothing recurses.
//!
//! ```
//! use serinus::shadow::compare::{Kind, Response, Settings, compare};
//! let json = [("content-type".to_owned(), b"application/json".to_vec())];
//! let answer = |body| Response { status: 200, headers: &json, body: Some(body), trailers: &[] };
//! let stable = answer(br#"{"id": 1, "tags": ["a", "b"]}"#);
//! let candidate = answer(br#"{"id": 1.0, "tags": ["b", "a"]}"#);
//! let found = compare("GET", &stable, &candidate, &Settings::default());
//! assert_eq!(found.differences.len(), 1);
//! assert_eq!(found.differences[0].path, "/tags");
//! assert_eq!(found.differences[0].kind, Kind::Order);
//! ```

mod body;
mod coding;
mod difference;
mod headers;
mod ignore;
mod json;
mod media;
mod paths;
mod response;
mod show;
mod walk;

pub use difference::{Bodies, Comparison, Difference, Kind, Sample};
pub use ignore::{BadRule, IgnoreRules};
pub use response::{Fields, Response};

use crate::sorted::sorted_by;
use media::media_type;

/// What to compare, and how far. The policy's `shadow` block becomes this.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// What no comparison sees.
    pub ignore: IgnoreRules,
    /// Further header fields to compare, by exact value; in lower case.
    pub headers_also: Vec<String>,
    /// How much work one comparison may be.
    pub limits: Limits,
    /// Anything that callers can't guess, so that they can't send bodies that are slow to read.
    pub hash_seed: u64,
}

impl Settings {
    /// Whether a comparison looks at the header field `name` (in any case). A capture need keep no
    /// others.
    pub fn reads_header(&self, name: &str) -> bool {
        headers::is_read(name, &self.headers_also)
    }
}

/// The bounds of one comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The size to which each body may decode.
    pub decoded_bytes: usize,
    /// The JSON values that each body may hold. One costs up to 60 bytes while comparing.
    pub values: usize,
    /// The text of all paths named, in bytes.
    pub path_bytes: usize,
    /// The bytes of each [`Sample`] value; 0 for no samples.
    pub sample_bytes: usize,
}

impl Default for Limits {
    /// 16 MiB decoded, about a million values, 64 KiB of paths (256 paths of 256 bytes), no samples.
    fn default() -> Self {
        Self {
            decoded_bytes: 16 << 20,
            values: 1 << 20,
            path_bytes: 1 << 16,
            sample_bytes: 0,
        }
    }
}

/// Compares stable's answer (`left`) with the candidate's to a request of `method`.
pub fn compare(
    method: &str,
    left: &Response<'_>,
    right: &Response<'_>,
    settings: &Settings,
) -> Comparison {
    let mut found = Comparison {
        differences: Vec::new(),
        unnamed: 0,
        bodies: Bodies::Explained,
        steps: 0,
    };
    if left.status != right.status {
        let sample = settings.sample(|| {
            (
                Some(left.status.to_string()),
                Some(right.status.to_string()),
            )
        });
        found.add(String::new(), Kind::Status, sample);
        return found;
    }
    for name in headers::differing(left, right, &settings.headers_also) {
        if !settings.ignore.header(name) {
            let sample = settings.sample(|| (shown_field(left, name), shown_field(right, name)));
            found.add(format!("header:{name}"), Kind::Header, sample);
        }
    }
    if grpc_status_differs(left, right, settings) {
        let status = |side| headers::grpc_status(side).map(lossy);
        let sample = settings.sample(|| (status(left), status(right)));
        found.add("trailer:grpc-status".to_owned(), Kind::Trailer, sample);
    } else {
        found.bodies = body::compare(method, left, right, settings, &mut found);
    }
    let differences = std::mem::take(&mut found.differences);
    found.differences = sorted_by(differences, |a, b| {
        (&a.path, a.kind).cmp(&(&b.path, b.kind))
    });
    found
}

impl Settings {
    fn sample(&self, of: impl FnOnce() -> (Option<String>, Option<String>)) -> Option<Sample> {
        let limit = self.limits.sample_bytes;
        if limit == 0 {
            return None;
        }
        let (left, right) = of();
        let short = |text: String| show::shortened(&text, limit);
        Some(Sample {
            left: left.map(short),
            right: right.map(short),
        })
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn shown_field(response: &Response<'_>, name: &str) -> Option<String> {
    let values: Vec<&[u8]> = response::values(response.headers, name).collect();
    (!values.is_empty()).then(|| lossy(&values.join(&b", "[..])))
}

fn grpc_status_differs(left: &Response<'_>, right: &Response<'_>, settings: &Settings) -> bool {
    let is_grpc = |side: &Response<'_>| media_type(side.headers).is_some_and(|of| of.is_grpc());
    (is_grpc(left) || is_grpc(right))
        && !settings.ignore.grpc_status()
        && headers::grpc_status(left) != headers::grpc_status(right)
}

#[cfg(test)]
mod tests;
