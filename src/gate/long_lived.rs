//! Streams that outlive the decision that made them, and what becomes of them when the gate shuts.
//!
//! A gate keeps callers from a variant; a WebSocket that was let in before goes on for hours. Whether
//! it is ended is a person's choice, since either way may be the worse one: callers who come back all at
//! once to stable, or callers who stay with a version that fails.

use std::time::Duration;

/// What happens to streams that are under way when the gate shuts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LongLived {
    /// They stay with their version.
    #[default]
    Keep,
    /// They are ended.
    Cut,
}

/// A stream that lasts this long is not waited for: of requests that are answered and over, all but the
/// longest end sooner, and to cut those would make an error of what is nearly done.
pub const LONG: Duration = Duration::from_secs(60);

impl LongLived {
    /// Whether a stream is ended, now that the gate of its variant is shut; `tunnel` says that it is a
    /// WebSocket or the like, `lasted` how long it has been going on, if that is known.
    #[must_use]
    pub fn cuts(self, tunnel: bool, lasted: Option<Duration>) -> bool {
        self == Self::Cut && (tunnel || lasted.is_some_and(|lasted| lasted >= LONG))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tunnels_and_what_lasts_is_cut_and_only_if_asked_for() {
        let short = Some(LONG.saturating_sub(Duration::from_millis(1)));
        for (tunnel, lasted, is_cut) in [
            (true, None, true),
            (true, Some(Duration::ZERO), true),
            (false, short, false),
            (false, Some(LONG), true),
            (false, None, false),
        ] {
            assert_eq!(LongLived::Cut.cuts(tunnel, lasted), is_cut);
            assert!(!LongLived::Keep.cuts(tunnel, lasted));
        }
    }
}
