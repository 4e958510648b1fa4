//! What the policy says about the shadow of one route.

use super::budget::Limits;
use super::compare::{self, IgnoreRules};
use super::shape::Rewrite;
use super::verdict;
use std::time::Duration;

/// The shadow of one route. Which requests it takes beside share and methods (`when`) is the
/// policy's to know: conditions are none of this folder's business.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The proxy's name of the other version.
    pub cluster: String,
    /// The host that a copy names; the request's if none.
    pub host: Option<String>,
    /// The path of a copy.
    pub rewrite: Option<Rewrite>,
    /// How many of the requests that got stable are copied, in parts per million.
    pub share_ppm: u32,
    /// The methods that are copied.
    pub methods: Vec<String>,
    /// Whether copies carry credentials; else a request that has some is not copied.
    pub forward_credentials: bool,
    /// How long a copy may take; never 0, which the host takes for no end at all.
    pub timeout: Duration,
    /// The longest body of a request that is copied, and of an answer that is compared.
    pub max_body_bytes: usize,
    /// What copies may cost one worker.
    pub limits: Limits,
    /// How answers are compared; none if copies are only sent.
    pub comparing: Option<Comparing>,
}

/// How the answers of a route are compared and judged.
#[derive(Debug, Clone)]
pub struct Comparing {
    /// The proxy's name of stable, for noise pairs and confirming calls; none asks stable nothing.
    pub stable_cluster: Option<String>,
    /// What is compared.
    pub answers: compare::Settings,
    /// What the verdict rests on.
    pub verdict: verdict::Settings,
    /// The paths whose values may be logged.
    pub reveal: IgnoreRules,
}

/// Whether a request of `method` may be sent to stable once more: what RFC 9110, part 9.2.1 calls
/// safe, as far as it can have an answer worth comparing.
pub fn is_safe(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS")
}
