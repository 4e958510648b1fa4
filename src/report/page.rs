//! The pages that the filter serves itself.
//!
//! Below a prefix, on the hosts and to the callers that the policy names, to GET and HEAD. Anything
//! else goes on as any other request does, so that who may not read the pages can't tell that they
//! are there. They hold names from the policy, counts, addresses of upstream hosts and paths of
//! differences between their answers.

use crate::assign::condition::{Condition, all_hold};
use crate::assign::route::HostMatch;
use crate::request::Request;
use serde::Serialize;

/// The default of `page.pathPrefix`.
pub const DEFAULT_PREFIX: &str = "/serinus";

/// Where and to whom pages are served.
#[derive(Debug, Clone)]
pub struct Page {
    /// What their paths begin with.
    pub prefix: String,
    /// On which hosts; all if there are none.
    pub hosts: Vec<HostMatch>,
    /// All must hold.
    pub when: Vec<Condition>,
}

/// A page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// `/healthz`: whether the policy in force is the newest one given.
    Health,
    /// `/version`: which Serinus and which policy.
    Version,
    /// `/state.json`: the [state document](super::state).
    State,
}

impl Page {
    /// The page that `request` asks for, if it is served to it. Conditions come last: they may cost
    /// a host call.
    pub fn asked(&self, request: &Request<'_>) -> Option<Asked> {
        let path = request.path().strip_prefix(self.prefix.as_bytes())?;
        let asked = match path {
            b"/healthz" => Asked::Health,
            b"/version" => Asked::Version,
            b"/state.json" => Asked::State,
            _ => return None,
        };
        let host = request.host();
        let is_served = matches!(request.method(), b"GET" | b"HEAD")
            && (self.hosts.is_empty() || self.hosts.iter().any(|wanted| wanted.takes(host)))
            && all_hold(&self.when, request);
        is_served.then_some(asked)
    }
}

/// What is to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, JSON.
    pub body: String,
}

/// `/healthz`: 503 while a newer policy than the one in force was refused, or while there is none.
pub fn health(policy: Option<(&str, &str)>, refused: bool) -> Answer {
    let healthy = policy.is_some() && !refused;
    Answer {
        status: if healthy { 200 } else { 503 },
        body: line(&Health {
            healthy,
            refused,
            policy: InForce::of(policy),
        }),
    }
}

#[derive(Serialize)]
struct Health<'a> {
    healthy: bool,
    refused: bool,
    policy: Option<InForce<'a>>,
}

/// `/version`.
pub fn version(policy: Option<(&str, &str)>) -> Answer {
    Answer {
        status: 200,
        body: line(&Version {
            serinus: env!("CARGO_PKG_VERSION"),
            policy: InForce::of(policy),
        }),
    }
}

#[derive(Serialize)]
struct Version<'a> {
    serinus: &'a str,
    policy: Option<InForce<'a>>,
}

#[derive(Serialize)]
struct InForce<'a> {
    name: &'a str,
    version: &'a str,
}

impl<'a> InForce<'a> {
    fn of(policy: Option<(&'a str, &'a str)>) -> Option<Self> {
        policy.map(|(name, version)| Self { name, version })
    }
}

/// JSON in a line; nothing that is written here can fail to be.
fn line(body: &impl Serialize) -> String {
    let mut line = serde_json::to_string(body).unwrap_or_default();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assign::testing::with_request;
    use crate::policy;

    fn asked(page: &str, method: &str, target: &str, host: &str) -> Option<Asked> {
        let text = format!("{{\"page\": {page}}}");
        let page = policy::read(text.as_bytes()).unwrap().page.unwrap();
        with_request(method, target, &[("host", host)], |request| {
            page.asked(request)
        })
    }

    #[test]
    fn pages_are_served_where_and_to_whom_the_policy_says() {
        let page = r#"{"hosts": ["serinus.internal", "*.ops.example"],
            "when": [{"clientIp": {}, "cidr": ["192.0.2.0/24"]}]}"#;
        let nobody = r#"{"when": [{"clientIp": {}, "cidr": ["10.0.0.0/8"]}]}"#;
        for (page, method, target, host, expected) in [
            (
                page,
                "GET",
                "/serinus/healthz",
                "serinus.internal:80",
                Some(Asked::Health),
            ),
            (
                page,
                "HEAD",
                "/serinus/version?x=1",
                "a.ops.example",
                Some(Asked::Version),
            ),
            (
                page,
                "GET",
                "/serinus/state.json",
                "SERINUS.internal",
                Some(Asked::State),
            ),
            (page, "GET", "/serinus/state.json", "shop.example", None),
            (page, "POST", "/serinus/healthz", "serinus.internal", None),
            (page, "GET", "/serinus/", "serinus.internal", None),
            (page, "GET", "/healthz", "serinus.internal", None),
            (nobody, "GET", "/serinus/healthz", "any", None),
        ] {
            assert_eq!(
                asked(page, method, target, host),
                expected,
                "{method} {target} {host}"
            );
        }
    }

    #[test]
    fn another_prefix_and_any_host() {
        let page = r#"{"pathPrefix": "/ops/canary", "when": [{"header": "x", "present": false}]}"#;
        assert_eq!(
            asked(page, "GET", "/ops/canary/healthz", "x"),
            Some(Asked::Health)
        );
        assert_eq!(asked(page, "GET", "/serinus/healthz", "x"), None);
    }

    #[test]
    fn healthz_fails_while_the_newest_policy_is_not_in_force() {
        assert_eq!(health(Some(("shop", "1")), false).status, 200);
        assert_eq!(health(Some(("shop", "1")), true).status, 503);
        assert_eq!(health(None, false).status, 503);
    }
}
