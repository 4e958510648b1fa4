//! Routes: which requests, whose key, which variants.

use super::{Experiment, Gate, HeaderMatch, Health, Maintenance, Rescue, Rule, Shadow};
use crate::policy::decode::{Decode, Empty, List, Pairs, Whole, choice, record, wrong_kind};
use crate::policy::problem::Problems;
use crate::policy::tree::{Node, Value};
use crate::policy::value::{
    CookieName, HeaderName, HostPattern, Method, Moment, Name, PathText, Percent, Period, SomeText,
    Text, Word,
};

record! {
    /// One route: the requests of one service, most often, and its variants.
    pub struct Route {
        /// Unique; the label `route` of every metric.
        "name" => name: Name,
        /// Which requests; all that is named must hold. Default: every request.
        "match" => matches: Option<RouteMatch>,
        /// What makes a caller sticky: the first that gives a value that is not empty. A request
        /// without any gets stable.
        "key" => key: Option<List<Key>>,
        /// Hashed with the key, so that two routes draw independently; routes with the same salt
        /// and key give a caller the same side. Changing it draws anew for everybody. Default: the
        /// route's name.
        "salt" => salt: Option<Text>,
        /// How a key becomes a slot. Default: `serinus`.
        "hash" => hash: Option<HashScheme>,
        /// With `trust: mesh`: take the variant that a hop before chose for this other route.
        "follow" => follow: Option<Name>,
        /// The versions beside stable; at most 16. The first owns slots from 0 upward, the second
        /// from the top downward, a third and later from its `from`.
        "variants" => variants: Option<List<Variant>>,
        /// Conditions that decide before the share does, in order; at most 200.
        "rules" => rules: Option<List<Rule>>,
        /// What counts as an error.
        "health" => health: Option<Health>,
        /// When to send everybody back to stable. Default: the gate with all its defaults.
        "gate" => gate: Option<Gate>,
        /// Copies of requests to another version, and the comparison of the answers.
        "shadow" => shadow: Option<Shadow>,
        /// Answers from stable for requests that failed on a variant.
        "rescue" => rescue: Option<Rescue>,
        /// Planned unavailability.
        "maintenance" => maintenance: Option<Maintenance>,
        /// Exposures and conversions of the variants.
        "experiment" => experiment: Option<Experiment>,
    }
}

record! {
    /// Which requests a route takes; all that is named must hold.
    pub struct RouteMatch {
        /// One of these hosts; port and case are ignored.
        "hosts" => hosts: Option<Vec<HostPattern>>,
        /// The path.
        "path" => path: Option<PathMatch>,
        /// One of these methods.
        "methods" => methods: Option<Vec<Method>>,
        /// All of these headers.
        "headers" => headers: Option<List<HeaderMatch>>,
    }
}

record! {
    /// A test of the path without the query: one of `prefix`, `exact` and `regex`.
    #[cfg_attr(feature = "cli", schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
    pub struct PathMatch {
        /// The path begins with this text, as Envoy's `prefix` has it: `/a` takes `/ab` too.
        "prefix" => prefix: Option<PathText>,
        /// The path is this text.
        "exact" => exact: Option<PathText>,
        /// The whole path matches this regular expression.
        "regex" => regex: Option<SomeText>,
    }
}

record! {
    /// A source of the key: one of `header`, `cookie`, `jwtClaim`, `query`, `baggage`, `clientIp`
    /// and `issueCookie`. A key is as honest as its source: a caller can choose any header, cookie,
    /// query or baggage that nothing in front of the proxy checks, and so choose a variant by trial.
    #[cfg_attr(feature = "cli", schemars(extend("anyOf" = [
        {"required": ["header"]}, {"required": ["cookie"]}, {"required": ["jwtClaim"]},
        {"required": ["query"]}, {"required": ["baggage"]}, {"required": ["clientIp"]},
        {"required": ["issueCookie"]}
    ])))]
    pub struct Key {
        /// A header; the first of its lines that is not empty. Beside `jwtClaim` the header that
        /// holds the token.
        "header" => header: Option<HeaderName>,
        /// A cookie.
        "cookie" => cookie: Option<CookieName>,
        /// A claim of a JSON Web Token: text, a whole number or a boolean at the top level. It is
        /// read and not verified: place the filter behind one that verifies. Default of `header`:
        /// `authorization`, with or without `Bearer`.
        "jwtClaim" => jwt_claim: Option<Word>,
        /// A parameter of the query, decoded.
        "query" => query: Option<Word>,
        /// A member of the W3C `baggage` header, decoded.
        "baggage" => baggage: Option<Word>,
        /// The caller's address as the proxy sees it. Callers behind one address share a side, and
        /// a caller whose address changes may change sides. One host call a request.
        "clientIp" => client_ip: Option<Empty>,
        /// A cookie of this name, which the filter gives to a caller that has no other key: a random
        /// id of 128 bits, used on the very request that gets it.
        "issueCookie" => issue_cookie: Option<CookieName>,
        /// Of `issueCookie`: how long a browser keeps it. Default: `720h`.
        "maxAge" => max_age: Option<Period>,
        /// Of `issueCookie`: for which paths. Default: `/`.
        "path" => path: Option<PathText>,
        /// Of `issueCookie`: for which domain; empty for the host alone. Default: empty.
        "domain" => domain: Option<Text>,
        /// Of `issueCookie`: over TLS alone. Default: `true`.
        "secure" => secure: Option<bool>,
        /// Of `issueCookie`: hidden from scripts. Default: `true`.
        "httpOnly" => http_only: Option<bool>,
        /// Of `issueCookie`: when another site's request carries it. Default: `Lax`.
        "sameSite" => same_site: Option<SameSite>,
    }
}

choice! {
    /// When another site's request carries a cookie.
    pub enum SameSite {
        /// Never.
        "Strict" => Strict,
        /// When a link is followed.
        "Lax" => Lax,
        /// Always; browsers want `secure: true` with it.
        "None" => None,
    }
}

/// How a key becomes a slot: `serinus`, or what another vendor's SDK does, so that a caller gets
/// the side here that a flag of that vendor gives.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
pub enum HashScheme {
    /// murmur3 of `salt:key`.
    #[cfg_attr(feature = "cli", schemars(rename = "serinus"))]
    Serinus,
    /// Unleash's gradual rollout.
    #[cfg_attr(feature = "cli", schemars(rename = "unleash"))]
    Unleash(Unleash),
    /// flagd's `fractional`, from version 0.15.0 of its core.
    #[cfg_attr(feature = "cli", schemars(rename = "flagd"))]
    Flagd(Flagd),
    /// LaunchDarkly's percentage rollout.
    #[cfg_attr(feature = "cli", schemars(rename = "launchdarkly"))]
    LaunchDarkly(LaunchDarkly),
}

impl Decode for HashScheme {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        const WRITE: &str = "`serinus`, `{unleash: {group: …}}`, `{flagd: {flag: …}}` or \
                             `{launchdarkly: {flag: …, salt: …}}`";
        match &node.value {
            Value::Text(text) if text == "serinus" => Some(Self::Serinus),
            Value::Object(members) => match members.as_slice() {
                [(vendor, node)] => problems.at_key(vendor, |problems| match vendor.as_str() {
                    "unleash" => Decode::decode(node, problems).map(Self::Unleash),
                    "flagd" => Decode::decode(node, problems).map(Self::Flagd),
                    "launchdarkly" => Decode::decode(node, problems).map(Self::LaunchDarkly),
                    _ => {
                        problems.say("there is no such scheme", WRITE);
                        None
                    }
                }),
                _ => {
                    problems.say("it names no scheme, or several", WRITE);
                    None
                }
            },
            _ => {
                wrong_kind(node, WRITE, problems);
                None
            }
        }
    }
}

record! {
    /// Unleash's gradual rollout: whole percents only.
    pub struct Unleash {
        /// The strategy's `groupId`.
        "group" => group: Text,
    }
}

record! {
    /// flagd's `fractional` without a `bucketBy` of its own: it hashes the flag's key and the
    /// targeting key. The variant must be the first of flagd's list.
    pub struct Flagd {
        /// The flag's key.
        "flag" => flag: Text,
    }
}

record! {
    /// LaunchDarkly's percentage rollout. The variant must be the first of the rollout.
    pub struct LaunchDarkly {
        /// The flag's key.
        "flag" => flag: Text,
        /// The flag's salt.
        "salt" => salt: Text,
        /// The rollout's seed, where it has one; key and salt are then not hashed.
        "seed" => seed: Option<Whole<{ -2_147_483_648 }, 2_147_483_647>>,
    }
}

record! {
    /// A version beside stable.
    pub struct Variant {
        /// Unique within the route; not `stable`.
        "name" => name: Name,
        /// How many of the callers get it. All shares together are at most 100%.
        "share" => share: Option<Percent>,
        /// Instead of `share`: a share that grows with the wall clock.
        "ramp" => ramp: Option<Ramp>,
        /// Where its slots begin; required from the third variant on. Fixed for good: moving it
        /// moves callers.
        "from" => from: Option<Percent>,
        /// Headers set on requests that go to it.
        "setHeaders" => set_headers: Option<Pairs>,
        /// The path that requests that go to it get; the route is chosen anew by that path.
        "rewritePath" => rewrite_path: Option<Rewrite>,
    }
}

record! {
    /// A share that grows with the wall clock: all proxies agree without talking.
    pub struct Ramp {
        /// When the first step begins; before it the share is 0%.
        "start" => start: Moment,
        /// The shares, each at least the one before; at most 64.
        "steps" => steps: Vec<Percent>,
        /// How long each step lasts.
        "every" => every: Period,
    }
}

record! {
    /// A new beginning for a path.
    pub struct Rewrite {
        /// What the path must begin with; a path that does not is left alone.
        "prefix" => prefix: PathText,
        /// What stands there instead.
        "with" => with: PathText,
    }
}
