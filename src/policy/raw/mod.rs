//! The policy's vocabulary, as it is written: every key, its type and what it means.
//!
//! These types say what may stand where, and nothing of whether it makes sense together: that is
//! `check`'s. Their doc comments are the policy's reference page and its JSON Schema, so they speak
//! to the author of a policy.

mod condition;
mod flags;
mod fleet;
mod gate;
mod later;
mod route;
mod rule;
mod shadow;

pub use condition::{Condition, HeaderMatch};
pub use flags::{Flag, FlagRule, FlagThen, FlagValue, ShedWhen};
pub use fleet::{AtStart, Fleet, FleetHeader, FleetPath, HeldBy, ShutWhen};
pub use gate::{Advance, Budget, Gate, Held, Limit, LimitSignal, LongLived, Reopen, Signal};
pub use later::{Experiment, Goal, Health, Maintenance, Rescue};
pub use route::{
    Flagd, HashScheme, Key, LaunchDarkly, PathMatch, Ramp, Rewrite, Route, RouteMatch, SameSite,
    Unleash, Variant,
};
pub use rule::{Respond, Rule, Then};
pub use shadow::{Shadow, Writes};

use super::decode::{List, choice, record};
use super::value::{HostPattern, Name, PathText};

record! {
    /// A policy: what one filter does.
    pub struct Policy {
        /// The prefix of everything that the filter keeps in the proxy's shared data, so that
        /// several filters of one proxy do not meet. Default: `serinus`.
        "name" => name: Option<Name>,
        /// Whether the filter acts. Default: `enforce`.
        "mode" => mode: Option<Mode>,
        /// Whether the requests that arrive were seen by another Serinus before. Default: `edge`.
        "trust" => trust: Option<Trust>,
        /// Who may ask, with the header `x-serinus-explain: 1`, why a request was decided as it
        /// was. Default: nobody.
        "explain" => explain: Option<Explain>,
        /// The pages that the filter serves itself. Default: none.
        "page" => page: Option<Page>,
        /// What is told about each request.
        "report" => report: Option<Report>,
        /// The routes, in order: the first whose `match` holds takes the request; no other does.
        /// At most 500.
        "routes" => routes: Option<List<Route>>,
        /// Feature flags, told to the upstream in one header; at most 50.
        "flags" => flags: Option<List<Flag>>,
        /// What all proxies together say of the canary, by way of Prometheus.
        "fleet" => fleet: Option<Fleet>,
    }
}

choice! {
    /// Whether the filter acts.
    pub enum Mode {
        /// It decides, and acts on it.
        "enforce" => Enforce,
        /// It decides and counts, and changes nothing for any request.
        "observe" => Observe,
        /// The kill switch: it decides nothing. Callers' `x-serinus-*` headers are still removed.
        "bypass" => Bypass,
    }
}

choice! {
    /// Whether to believe what a request says of earlier decisions.
    pub enum Trust {
        /// Requests come from callers: the filter's own headers and baggage member are removed.
        "edge" => Edge,
        /// Requests come from proxies of the mesh: what a hop before decided is honoured.
        "mesh" => Mesh,
    }
}

record! {
    /// Who may ask for reasons.
    pub struct Explain {
        /// All must hold.
        "when" => when: List<Condition>,
    }
}

record! {
    /// The pages that the filter serves itself, to GET and HEAD.
    pub struct Page {
        /// What their paths begin with. Default: `/serinus`.
        "pathPrefix" => path_prefix: Option<PathText>,
        /// The hosts on which they are served. Default: all.
        "hosts" => hosts: Option<Vec<HostPattern>>,
        /// Who may read them; all must hold. Required, so that nobody serves them by accident.
        "when" => when: List<Condition>,
    }
}

record! {
    /// What is told about each request.
    pub struct Report {
        /// Route, variant, reason, gate and outcome in the filter state `wasm.serinus`, for access logs. The
        /// mark is set anyway, for a Serinus behind this one, so it costs one further host call, for
        /// the outcome; `false` keeps both out of the logs. Default: `true`.
        "accessLog" => access_log: Option<bool>,
        /// What became of each request: outcomes, latencies, tries. With `false` decisions are all that is
        /// counted, three host calls a request are spared, and whatever lives by outcomes is refused:
        /// gates that are not held, shadows, `shedWhen`. Default: `true`.
        "outcomes" => outcomes: Option<bool>,
        /// Outcomes by upstream host in the state document: one host call a request. Default: `true`.
        "hosts" => hosts: Option<bool>,
        /// Bytes received and sent: two host calls a request. Default: `false`.
        "bytes" => bytes: Option<bool>,
        /// The decision and the flags go on in the member `serinus` of the header `baggage`, beside what
        /// the caller sent there: one host call a request that has a route or flags. Default: `false`.
        "baggage" => baggage: Option<bool>,
    }
}
