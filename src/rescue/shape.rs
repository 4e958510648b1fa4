//! What stable is asked, and what the caller gets of its answer.
//!
//! The call is the caller's request as stable would have got it: without what the variant alone is
//! told, and, unlike a shadow's copy, with credentials and in the caller's own trace. What belongs to
//! the connection stays behind, and so do orders to the proxy (`x-envoy-*`): another time-out or a
//! retry would make of one rescue several. Envoy's route adds nothing to it.
//!
//! Of stable's answer the length is the host's to write, and `x-envoy-*` told the proxy of its own
//! call. All other lines go on as they came, several of one name too.

use super::Settings;
use crate::assign::edits::Edits;
use crate::health::statuses::Status;
use crate::request::{Header, Request};

/// Request headers that belong to a connection, or to the framing of a body.
const OF_THE_CONNECTION: [&[u8]; 9] = [
    b"connection",
    b"content-length",
    b"expect",
    b"host",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"transfer-encoding",
    b"upgrade",
];

const ENVOYS: &[u8] = b"x-envoy-";
/// The caller's address, which Envoy tells upstreams.
const EXTERNAL_ADDRESS: &[u8] = b"x-envoy-external-address";

/// The header lines of the call: `request` with the changes that make it stable's.
pub fn call<'r>(request: &Request<'r>, edits: &'r Edits<'_>) -> Vec<Header<'r>> {
    let is_set = |name: &[u8]| edits.set.iter().any(|(set, _)| set.as_bytes() == name);
    let mut lines = Vec::with_capacity(request.headers().len());
    let mut has_authority = false;
    for (name, value) in request.headers() {
        has_authority |= *name == b":authority";
        let is_order = name.starts_with(ENVOYS) && *name != EXTERNAL_ADDRESS;
        let is_gone = edits.remove.iter().any(|gone| gone == name);
        if !is_order && !is_gone && !is_set(name) && !OF_THE_CONNECTION.contains(name) {
            lines.push((*name, *value));
        }
    }
    if !has_authority && let Some(host) = request.header("host").next() {
        lines.push((b":authority", host));
    }
    let set = edits.set.iter();
    lines.extend(set.map(|(name, value)| (name.as_bytes(), value.as_ref())));
    lines
}

/// Stable's answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// What the caller gets of its header lines; of an answer to HEAD the length too, which nobody
    /// else could know.
    pub lines: Vec<Header<'a>>,
}

impl Settings {
    /// The answer in these header lines; nothing if stable failed too: it did not answer in full, or
    /// by what is a failure of a variant's, or by a 5xx. The proxy's own 503 and 504 are such.
    pub fn answer<'a>(&self, received: &[Header<'a>], is_head: bool) -> Option<Answer<'a>> {
        let named = |wanted: &[u8]| received.iter().find(|(name, _)| *name == wanted);
        let (_, status) = named(b":status")?;
        let status: u16 = std::str::from_utf8(status).ok()?.parse().ok()?;
        let is_named = |status| self.failures.statuses.statuses.has(Status::of(status));
        if !(200..500).contains(&status) || is_named(status.into()) {
            return None;
        }
        let mut lines = Vec::with_capacity(received.len());
        for (name, value) in received {
            let stays = match *name {
                b":status" | b"connection" | b"transfer-encoding" => false,
                b"content-length" => is_head,
                name => !name.starts_with(ENVOYS),
            };
            if stays {
                lines.push((*name, *value));
            }
        }
        Some(Answer { status, lines })
    }
}
