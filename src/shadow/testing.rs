//! Settings and requests for the tests of this folder.

use super::budget::Limits;
use super::compare::{self, IgnoreRules};
use super::settings::{Comparing, Settings};
use super::verdict;
use crate::request::Request;
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
    let mut lines: Vec<(&[u8], &[u8])> = vec![
        (b":method", method.as_bytes()),
        (b":path", target.as_bytes()),
        (b":authority", b"shop"),
        (b":scheme", b"https"),
    ];
    lines.extend(
        headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
    );
    test(&Request::new(&lines, &|| None))
}
