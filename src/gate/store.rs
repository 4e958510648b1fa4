//! Gates as bytes, for the shared data in which they outlive their worker and their VM.
//!
//! Four bytes of magic with the layout's version, an FNV-1a hash of the rest, then postcard.
//! Foreign or damaged bytes, and those of another version, count as absent. The hash guards
//! against accidents, not against an enemy: who writes to shared data is another filter of the
//! same proxy.

use super::Gate;
use serde::Serialize;
use serde::de::Deserialize;

/// Whose bytes these are. The last byte is the layout's version: raise it with any change of what
/// is in them.
pub(super) type Magic = [u8; 4];

const MAGIC: Magic = *b"SGt\x03";
const HASH_LEN: usize = 8;

/// The most that [`Gate::to_bytes`] may give.
pub const MAX_BYTES: usize = 16 * 1_024;

impl Gate {
    /// The gate as bytes, at most [`MAX_BYTES`]; nothing if it cannot be written, which a name
    /// of a revision beyond all bounds would need.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        seal(MAGIC, self).filter(|bytes| bytes.len() <= MAX_BYTES)
    }

    /// The gate that [`Gate::to_bytes`] wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Gate> {
        unseal(MAGIC, bytes)
    }
}

/// `value` as bytes.
pub(super) fn seal(magic: Magic, value: &impl Serialize) -> Option<Vec<u8>> {
    let body = postcard::to_allocvec(value).ok()?;
    let hash = fnv1a(&body).to_le_bytes();
    Some([magic.as_slice(), &hash, &body].concat())
}

/// What [`seal`] wrote with the same magic.
pub(super) fn unseal<'b, T: Deserialize<'b>>(magic: Magic, bytes: &'b [u8]) -> Option<T> {
    let rest = bytes.strip_prefix(&magic)?;
    let (hash, body) = rest.split_first_chunk::<HASH_LEN>()?;
    if u64::from_le_bytes(*hash) != fnv1a(body) {
        return None;
    }
    postcard::from_bytes(body).ok()
}

/// FNV-1a, 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
