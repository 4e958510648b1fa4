//! Settings and requests for the tests of this folder.

use super::budget::Limits;
use super::capture::Line;
use super::compare::{self, IgnoreRules};
use super::settings::{Comparing, Settings};
use super::verdict;
use crate::request::Request;
use crate::request::testing::lines;
use std::time::Duration;

/// Everything that may be is copied and compared.
pub fn settings() -> Settings {
    Settings {
        cluster: "v2".to_owned(),
        host: None,
        rewrite: None,
        share_ppm: 1_000_000,
        methods: vec!["GET".to_owned(), "HEAD".to_owned()],
        forward_credentials: false,
        timeout: Duration::from_secs(2),
        max_body_bytes: 1_000,
        limits: Limits {
            in_flight: 4,
            per_second: 100,
            bytes: 10_000,
        },
        comparing: Some(Comparing {
            stable_cluster: Some("v1".to_owned()),
            answers: compare::Settings::default(),
            verdict: verdict::Settings::default(),
            reveal: IgnoreRules::default(),
        }),
    }
}

/// Runs `test` with a request to `shop`, unless the headers name another.
pub fn with_request<T>(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    test: impl FnOnce(&Request<'_>) -> T,
) -> T {
    let own = [
        (":method", method),
        (":path", target),
        (":authority", "shop"),
        (":scheme", "https"),
    ];
    test(&Request::new(&lines(&own, headers), &|| None))
}

/// The header lines of a version's own answer in JSON.
pub const ANSWER: [Line<'static>; 3] = [
    (b":status", b"200"),
    (b"content-type", b"application/json"),
    (b"x-envoy-upstream-service-time", b"1"),
];
