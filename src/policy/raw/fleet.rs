//! The fleet: what all proxies together say of the canary.

use crate::policy::decode::{Decode, List, choice, record, wrong_kind};
use crate::policy::problem::Problems;
use crate::policy::tree::{Node, Value};
use crate::policy::value::{
    HeaderName, HeaderValue, Name, PathText, Percent, Period, SomeText, Word,
};

record! {
    /// What all proxies together say of the canary, by way of Prometheus.
    pub struct Fleet {
        /// The Envoy cluster of Prometheus.
        "cluster" => cluster: Word,
        /// The host to name in requests to it.
        "authority" => authority: Word,
        /// What stands before `/api/v1`. Default: nothing.
        "pathPrefix" => path_prefix: Option<FleetPath>,
        /// Headers of the requests, for a tenant or a token.
        "headers" => headers: Option<List<FleetHeader>>,
        /// How often. Default: `5s`.
        "every" => every: Option<Period>,
        /// How long an answer may take. Default: `2s`.
        "timeout" => timeout: Option<Period>,
        /// How old an answer may be. Default: `30s`.
        "maxAge" => max_age: Option<Period>,
        /// How long a start waits for the first answer. Default: `3s`.
        "startWait" => start_wait: Option<Period>,
        /// What callers get meanwhile. Default: `stable`.
        "atStart" => at_start: Option<AtStart>,
        /// When the fleet shuts this proxy's gate.
        "shutWhen" => shut_when: Option<ShutWhen>,
        /// Alerts that hold gates shut.
        "heldBy" => held_by: Option<List<HeldBy>>,
    }
}

record! {
    /// A header of the requests to Prometheus.
    pub struct FleetHeader {
        /// Its name.
        "name" => name: HeaderName,
        /// Its value.
        "value" => value: HeaderValue,
    }
}

choice! {
    /// What callers get until the fleet has answered.
    pub enum AtStart {
        /// Stable.
        "stable" => Stable,
        /// What the share says.
        "share" => Share,
    }
}

record! {
    /// An alert that holds gates shut.
    pub struct HeldBy {
        /// The alert's name.
        "alert" => alert: SomeText,
        /// Of which routes. Default: all.
        "routes" => routes: Option<Vec<Name>>,
    }
}

/// A path prefix that may be empty.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(transparent))]
pub struct FleetPath(
    /// Empty, or a path that begins with `/`.
    pub String,
);

impl Decode for FleetPath {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Text(text) if text.is_empty() => Some(Self(String::new())),
            _ => PathText::decode(node, problems).map(|path| Self(path.0)),
        }
    }
}

/// When the fleet shuts this proxy's gate: a part of the proxies, `any` of them, or what all
/// proxies saw put together (`evidence`).
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
pub enum ShutWhen {
    /// Any proxy's gate is shut.
    #[cfg_attr(feature = "cli", schemars(rename = "any"))]
    Any,
    /// What all proxies saw, put together, is enough.
    #[cfg_attr(feature = "cli", schemars(rename = "evidence"))]
    Evidence,
    /// This part of the proxies' gates is shut.
    #[cfg_attr(feature = "cli", schemars(rename = "proxies"))]
    Proxies(Percent),
}

impl Decode for ShutWhen {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Text(text) if text == "any" => return Some(Self::Any),
            Value::Text(text) if text == "evidence" => return Some(Self::Evidence),
            Value::Object(members) => {
                if let [(key, node)] = members.as_slice()
                    && key == "proxies"
                {
                    return problems
                        .at_key(key, |problems| Percent::decode(node, problems))
                        .map(Self::Proxies);
                }
            }
            _ => {}
        }
        wrong_kind(node, "`any`, `evidence` or `{proxies: \"20%\"}`", problems);
        None
    }
}
