//! The policies of these tests.

use std::fmt::Write as _;

/// Everyone with a key gets the canary.
pub const CANARY: &str = r#"{"routes": [{"name": "checkout", "key": [{"header": "x-user-id"}],
    "variants": [{"name": "canary", "share": "100%"}]}]}"#;

/// Nobody gets the canary.
pub const STABLE: &str = r#"{"routes": [{"name": "checkout", "key": [{"header": "x-user-id"}],
    "variants": [{"name": "canary", "share": "0%"}]}]}"#;

/// Every second caller gets the canary.
pub const HALF: &str = r#"{"routes": [{"name": "checkout", "key": [{"header": "x-user-id"}],
    "variants": [{"name": "canary", "share": "50%"}]}]}"#;

/// No request meets the route.
pub const NO_ROUTE: &str = r#"{"routes": [{"name": "checkout", "match": {"hosts": ["other.example"]},
    "key": [{"header": "x-user-id"}], "variants": [{"name": "canary", "share": "100%"}]}]}"#;

/// As [`CANARY`], without telling access logs.
pub const CANARY_UNLOGGED: &str = r#"{"report": {"accessLog": false}, "routes": [
    {"name": "checkout", "key": [{"header": "x-user-id"}],
    "variants": [{"name": "canary", "share": "100%"}]}]}"#;

/// As [`CANARY`], without a look at what becomes of requests.
pub const CANARY_BLIND: &str = r#"{"report": {"outcomes": false}, "routes": [
    {"name": "checkout", "key": [{"header": "x-user-id"}], "gate": {"held": "open"},
    "variants": [{"name": "canary", "share": "100%"}]}]}"#;

/// As [`CANARY`], behind a hop that is believed.
pub const MESH: &str = r#"{"trust": "mesh", "routes": [
    {"name": "checkout", "key": [{"header": "x-user-id"}],
    "variants": [{"name": "canary", "share": "0%"}]}]}"#;

/// Every source of a key that a caller fills; everyone with one gets the canary.
pub const EVERY_KEY: &str = r#"{"routes": [{"name": "checkout", "key": [
    {"header": "x-user-id"}, {"cookie": "session_id"},
    {"jwtClaim": "sub", "header": "authorization"}, {"query": "user"}, {"baggage": "user"}],
    "variants": [{"name": "canary", "share": "100%"}]}]}"#;

/// Every kind of condition, and none holds for an ordinary request; then the key decides.
pub const EVERY_CONDITION: &str = r#"{"routes": [
    {"name": "elsewhere", "match": {"hosts": ["*.elsewhere.example"], "path": {"prefix": "/else"},
      "methods": ["DELETE"], "headers": [{"name": "x-tenant", "regex": "no(pe)+"}]}},
    {"name": "pattern", "match": {"path": {"regex": "/no/[a-z]+/where"}}},
    {"name": "checkout", "key": [{"header": "x-user-id"}],
    "variants": [{"name": "canary", "share": "100%"}],
    "rules": [
      {"name": "exact", "when": [{"header": "x-employee", "exact": "yes"}], "then": {"variant": "stable"}},
      {"name": "prefix", "when": [{"cookie": "group", "prefix": "beta-"}], "then": {"variant": "stable"}},
      {"name": "suffix", "when": [{"query": "lang", "suffix": "-x"}], "then": {"variant": "stable"}},
      {"name": "contains", "when": [{"path": {}, "contains": "/internal/"}], "then": {"variant": "stable"}},
      {"name": "regex", "when": [{"host": {}, "regex": "qa[0-9]+\\.example"}], "then": {"variant": "stable"}},
      {"name": "in", "when": [{"method": {}, "in": ["TRACE"]}], "then": {"variant": "stable"}},
      {"name": "present", "when": [{"header": "x-force-stable", "present": true}], "then": {"variant": "stable"}},
      {"name": "semver", "when": [{"header": "x-app", "semver": ">=99"}], "then": {"variant": "stable"}},
      {"name": "number", "when": [{"query": "age", "number": "> 1000"}], "then": {"variant": "stable"}},
      {"name": "claim", "when": [{"jwtClaim": "org", "header": "authorization", "exact": "acme"}],
        "then": {"variant": "stable"}},
      {"name": "cidr", "when": [{"clientIp": {}, "cidr": ["10.0.0.0/8"]}], "then": {"variant": "stable"}}
    ]}]}"#;

/// Every kind of host call: the clock for a ramp, the address for a condition, random bytes for a
/// cookie, headers, the path and the baggage for the canary, a reason on the response, pages,
/// copies of requests and, once [`every_host_call_shut`] follows, the end of a stream.
pub const EVERY_HOST_CALL: &str = r#"{
    "explain": {"when": [{"clientIp": {}, "cidr": ["203.0.113.0/24"]}]},
    "report": {"accessLog": true, "baggage": true, "hosts": true, "bytes": true},
    "page": {"when": [{"clientIp": {}, "cidr": ["203.0.113.0/24"]}]},
    "routes": [
    {"name": "old", "match": {"path": {"prefix": "/old"}}, "rules": [{"name": "gone",
      "when": [{"path": {}, "prefix": "/old"}],
      "then": {"respond": {"status": 426, "headers": {"x-use": "h2c"}, "body": "upgrade"}}}]},
    {"name": "copied", "match": {"path": {"prefix": "/copied"}}, "shadow": {"cluster": "v2",
      "stableCluster": "v1", "share": "100%", "methods": ["GET", "POST"], "writes": "allow",
      "noise": "50%", "confirmPerRaw": 1}},
    {"name": "rescued", "match": {"path": {"prefix": "/rescued"}},
      "key": [{"clientIp": {}}], "variants": [{"name": "canary", "share": "100%"}],
      "rescue": {"cluster": "v1", "deadline": "200ms"}},
    {"name": "checkout", "key": [{"header": "x-user-id"}, {"issueCookie": "serinus"}],
    "gate": {"revision": "7", "longLived": "cut"}, "variants": [{"name": "canary",
      "ramp": {"start": "2026-11-01T00:00:00Z", "steps": ["1%", "100%"], "every": "10m"},
      "setHeaders": {"x-api-version": "2"},
      "rewritePath": {"prefix": "/checkout", "with": "/v2/checkout"}}]}]}"#;

/// [`EVERY_HOST_CALL`] with its gate shut.
pub fn every_host_call_shut() -> String {
    let shut = r#""longLived": "cut", "held": "shut""#;
    EVERY_HOST_CALL.replacen(r#""longLived": "cut""#, shut, 1)
}

/// A policy with so many routes that no request meets, before [`CANARY`]'s.
pub fn with_routes_before(count: usize) -> String {
    let mut routes = String::new();
    for n in 0..count {
        write!(
            routes,
            r#"{{"name": "r{n}", "match": {{"hosts": ["h{n}.example"], "path": {{"regex": "/r{n}/[0-9]+"}}}},
            "key": [{{"header": "x-user-id"}}], "variants": [{{"name": "canary", "share": "1%"}}]}},"#
        )
        .expect("a string");
    }
    CANARY.replacen(r#""routes": ["#, &format!(r#""routes": [{routes}"#), 1)
}

/// Every second caller gets the canary, and everybody is served the pages. Only what is needed to
/// count is asked of the host.
pub const COUNTED: &str = r#"{"name": "shop", "report": {"accessLog": false, "hosts": false},
    "page": {"when": [{"header": "x-nobody", "present": false}]},
    "routes": [{"name": "checkout", "match": {"path": {"prefix": "/checkout"}},
    "key": [{"header": "x-user-id"}], "variants": [{"name": "canary", "share": "50%"}]}]}"#;

/// [`COUNTED`] with another share, so that it is another policy of the same name.
pub fn counted_with_share(share: &str) -> String {
    COUNTED.replacen("50%", share, 1)
}

/// [`COUNTED`] with other things to report.
pub fn counted_with_report(report: &str) -> String {
    let plain = r#"{"accessLog": false, "hosts": false}"#;
    COUNTED.replacen(plain, report, 1)
}

/// [`COUNTED`] with a gate that judges from the first second on; `gate` is what else it says.
pub fn judged(gate: &str) -> String {
    let comma = if gate.is_empty() { "" } else { ", " };
    let gate = format!(r#""gate": {{"warmup": "0s"{comma}{gate}}}, "variants":"#);
    COUNTED.replacen("\"variants\":", &gate, 1)
}

/// So many routes, each below a path of its own, that tell hosts apart.
pub fn many_routes(count: usize) -> String {
    let route = |n: usize| {
        format!(
            r#"{{"name": "r{n}", "match": {{"path": {{"prefix": "/r{n}/"}}}},
            "key": [{{"header": "x-user-id"}}], "variants": [{{"name": "canary", "share": "50%"}}]}}"#
        )
    };
    let routes: Vec<_> = (0..count).map(route).collect();
    format!(
        r#"{{"name": "shop", "page": {{"when": [{{"header": "x-nobody", "present": false}}]}},
        "routes": [{}]}}"#,
        routes.join(",")
    )
}
