//! Policies whose cost is measured, and the request that they get.

use serinus_host_tests::{Request, Response};

/// Nothing is asked of the host at a request's end.
pub const BLIND: &str = r#"{"accessLog": false, "outcomes": false}"#;

/// Only what every request needs is asked of the host.
pub const LEAST: &str = r#"{"accessLog": false, "hosts": false}"#;

/// A gate that looks at all there is to look at.
pub const GATE: &str = r#""gate": {"warmup": "0s", "limits": [
    {"signal": "errorRate", "above": "5%", "for": "2m"}, {"signal": "p99", "above": "2s", "for": "3m"}],
    "budget": {"objective": "99%", "window": "1d"}}"#;

/// A gate that a person holds open, so that nothing is judged.
pub const HELD: &str = r#""gate": {"held": "open"}"#;

/// A policy with this `report` and these routes.
pub fn policy(report: &str, routes: &str) -> String {
    format!(r#"{{"name": "shop", "report": {report}, "routes": [{routes}]}}"#)
}

/// A route below a path, with `share` of the canary; `more` are further settings, each behind a
/// comma.
pub fn route(name: &str, path: &str, share: &str, more: &str) -> String {
    format!(
        r#"{{"name": "{name}", "match": {{"path": {{"prefix": "{path}"}}}},
        "key": [{{"header": "x-user-id"}}],
        "variants": [{{"name": "canary", "share": "{share}"}}]{more}}}"#
    )
}

/// The route that takes [`browser`]'s requests.
pub fn checkout(share: &str, more: &str) -> String {
    route("checkout", "/checkout", share, more)
}

/// So many routes that do not, as teams write them: by path.
pub fn others(count: usize) -> Vec<String> {
    let other = |n| route(&format!("r{n}"), &format!("/services/team-{n}/"), "5%", "");
    (0..count).map(other).collect()
}

/// So many rules, none of which holds.
pub fn rules(count: usize) -> String {
    let rule = |n| {
        format!(
            r#"{{"name": "rule-{n}", "when": [{{"header": "x-tenant", "exact": "tenant-{n}"}}],
            "then": {{"variant": "canary"}}}}"#
        )
    };
    let rules: Vec<_> = (0..count).map(rule).collect();
    format!(r#", "rules": [{}]"#, rules.join(","))
}

/// A shadow of so many of the requests.
pub fn shadow(share: &str) -> String {
    format!(
        r#", "shadow": {{"cluster": "v2", "stableCluster": "v1", "share": "{share}",
        "maxPerSecond": 10000, "forwardCredentials": true, "noise": "0%", "confirmPerRaw": 0}}"#
    )
}

/// The `n`th caller's id, of 36 bytes.
fn caller(n: u64) -> String {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!(
        "{:08x}-{:04x}-4{:03x}-9a10-5e8f2b7d4c31",
        n >> 32,
        (n >> 16) & 0xffff,
        n & 0xfff
    )
}

/// The answer's body.
pub const BODY: &str = r#"{"id": "o-17", "state": "paid", "total": 41.5, "currency": "EUR"}"#;

/// What the browser of the `n`th caller sends by way of a proxy: 13 header lines.
pub fn browser(n: u64) -> Request {
    Request::get("/checkout/pay?step=2")
        .header(
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        )
        .header("accept", "application/json, text/plain, */*")
        .header("accept-language", "en-GB,en;q=0.7,de;q=0.3")
        .header("accept-encoding", "gzip, deflate, br, zstd")
        .header(
            "cookie",
            "theme=dark; session_id=k3JwqZ0m7a; consent=all; seen=1795251600",
        )
        .header("x-request-id", "c1f9a7d2-0b6e-4f3d-8a57-91e4c2d7b680")
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-forwarded-proto", "https")
        .header("x-user-id", caller(n))
        .answered(answer())
}

/// The upstream's answer.
pub fn answer() -> Response {
    Response::status(200)
        .header("content-type", "application/json")
        .header("date", "Sat, 21 Nov 2026 09:00:00 GMT")
        .body(BODY)
}
