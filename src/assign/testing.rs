//! Requests and conditions for the tests of this folder.

use super::condition::Condition;
use crate::policy;
use crate::request::testing::lines;
use crate::request::{Request, address};

/// Runs `test` with a request from 192.0.2.7.
pub fn with_request<T>(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    test: impl FnOnce(&Request<'_>) -> T,
) -> T {
    let lines = lines(&[(":method", method), (":path", target)], headers);
    let source = || address(b"192.0.2.7:4711");
    test(&Request::new(&lines, &source))
}

/// The condition that `json` writes, as the policy reads it.
pub fn condition(json: &str) -> Condition {
    let text = format!(
        r#"{{"routes":[{{"name":"r","rules":[{{"name":"x","when":[{json}],"then":{{"variant":"stable"}}}}]}}]}}"#
    );
    let policy = policy::read(text.as_bytes()).unwrap_or_else(|refusal| panic!("{refusal}"));
    policy.assigner.routes[0].rules[0].when[0].clone()
}
