//! The pages that the filter serves itself.

use super::host;
use super::root::InForce;
use super::stream::note;
use super::watch;
use crate::report::page::{self, Answer, Asked};
use proxy_wasm::types::Action;

const HEADERS: [(&str, &str); 2] = [
    ("content-type", "application/json"),
    ("cache-control", "no-store"),
];

/// Answers with a page. If the host can't, the request goes on as any other.
pub fn serve(in_force: &InForce, asked: Asked) -> Action {
    let policy = in_force.name_and_version();
    let answer = match asked {
        Asked::Health => page::health(policy, !in_force.problems.is_empty()),
        Asked::Version => page::version(policy),
        Asked::State => Answer {
            status: 200,
            body: watch::document(in_force),
        },
    };
    let body = format!("{:#}\n", answer.body);
    let headers = HEADERS.iter().copied();
    match note(in_force, host::respond(answer.status, headers, body.as_bytes())) {
        Some(()) => Action::Pause,
        None => Action::Continue,
    }
}
